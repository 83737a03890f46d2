// Sums over very many numbers. Floating-point sums depend on their order, so the order must never depend on which thread
// was quicker: each thread adds its own terms, the block adds its threads', and a last step adds the blocks', all in an
// order that the sizes alone decide.

// out[m] = Σ_r in[r,m] for a matrix of `rows` rows; one thread of a block's 8 lanes adds every 8th row of its column
extern "C" __global__ void sum_rows(const Real* __restrict__ in, Real* __restrict__ out, long long rows, long long columns) {
    __shared__ Real of_lanes[8][32];
    const int lane = threadIdx.x / 32, place = threadIdx.x % 32;
    const long long column = (long long)blockIdx.x * 32 + place;
    Real sum = 0;
#pragma unroll 8
    for (long long r = lane; column < columns && r < rows; r += 8) sum += in[r * columns + column];
    of_lanes[lane][place] = sum;
    __syncthreads();
    if (lane > 0 || column >= columns) return;
    for (int other = 1; other < 8; ++other) sum += of_lanes[other][place];
    out[column] = sum;
}

// gb[f] = Σ_r gz[r,f], where gz = gy where y > 0, else 0, is written on the way (y and gz may be left out: gz is gy).
//
// blockIdx.y chooses up to 256 columns. The blocks along x share the rows out and write partial[block, f]. Which of them
// is the last to arrive is counted; that one, whichever it is, adds up all parts in the order of the blocks.
extern "C" __global__ void sum_over_rows(const Real* __restrict__ gy, const Real* __restrict__ y, Real* __restrict__ gz,
                                         Real* __restrict__ gb, Real* partial, unsigned* __restrict__ arrived,
                                         long long rows, int F, int columns) {
    const int lanes = blockDim.x / columns, lane = threadIdx.x / columns;
    const int f = blockIdx.y * columns + threadIdx.x % columns;
    const bool works = lane < lanes && f < F;
    Real sum = 0;
    if (works) {
#pragma unroll 4
        for (long long r = (long long)blockIdx.x * lanes + lane; r < rows; r += (long long)gridDim.x * lanes) {
            Real value = gy[r * F + f];
            if (y) {
                value = y[r * F + f] > 0 ? value : 0;
                gz[r * F + f] = value;
            }
            sum += value;
        }
    }
    sum = sum_of_lanes(sum, columns);
    if (works && lane == 0) partial[(long long)blockIdx.x * F + f] = sum;
    if (!is_last_block(arrived)) return;
    const volatile Real* parts = partial;
    sum = 0;
    if (works)
        for (long long block = lane; block < gridDim.x; block += lanes) sum += parts[block * F + f];
    sum = sum_of_lanes(sum, columns);
    if (works && lane == 0) gb[f] = sum;
}
