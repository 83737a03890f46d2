// Sums over very many numbers. A floating-point sum depends on its order, and the order must not depend on which thread
// is faster: each thread adds up its own terms, the block its threads' sums, and a last step the blocks' sums, all in
// an order that the sizes alone decide.

// out[m] = Σ_r in[r,m] for a matrix of `rows` rows. A block takes WARP columns; each of its LANES adds up every
// LANES-th row
#define LANES (THREADS / WARP)
extern "C" __global__ void sum_rows(const Sum* __restrict__ in, Sum* __restrict__ out, long long rows,
                                    long long columns) {
    __shared__ Sum of_lanes[LANES][WARP];
    const int lane = threadIdx.x / WARP, offset = threadIdx.x % WARP;
    const long long column = (long long)blockIdx.x * WARP + offset;
    Sum sum = 0;
#pragma unroll 8
    for (long long r = lane; column < columns && r < rows; r += LANES) sum += in[r * columns + column];
    of_lanes[lane][offset] = sum;
    __syncthreads();
    if (lane > 0 || column >= columns) return;
    for (int other = 1; other < LANES; ++other) sum += of_lanes[other][offset];
    out[column] = sum;
}

// gb[f] = Σ_r gz[r,f]; gz = gy where y > 0, else 0, is written on the way (without y and gz, gz is gy itself).
//
// blockIdx.y chooses up to THREADS columns. The rows are divided among the blocks along x, which write
// partial[block, f]. Blocks are counted as they finish; the last one, whichever it is, adds up the partial sums in the
// order of the blocks.
extern "C" __global__ void sum_over_rows(const Real* __restrict__ gy, const Real* __restrict__ y, Real* __restrict__ gz,
                                         Sum* __restrict__ gb, Sum* partial, unsigned* __restrict__ arrived,
                                         long long rows, int F, int columns) {
    const int lanes = blockDim.x / columns, lane = threadIdx.x / columns;
    const int f = blockIdx.y * columns + threadIdx.x % columns;
    const bool works = lane < lanes && f < F;
    Sum sum = 0;
    if (works) {
#pragma unroll 4
        for (long long r = (long long)blockIdx.x * lanes + lane; r < rows; r += (long long)gridDim.x * lanes) {
            Real value = gy[r * F + f];
            if (y) {
                value = (Sum)y[r * F + f] > 0 ? value : (Real)0;
                gz[r * F + f] = value;
            }
            sum += (Sum)value;
        }
    }
    sum = sum_of_lanes(sum, columns);
    if (works && lane == 0) partial[(long long)blockIdx.x * F + f] = sum;
    if (!is_last_block(arrived)) return;
    const volatile Sum* sums = partial;
    sum = 0;
    if (works)
        for (long long block = lane; block < gridDim.x; block += lanes) sum += sums[block * F + f];
    sum = sum_of_lanes(sum, columns);
    if (works && lane == 0) gb[f] = sum;
}
