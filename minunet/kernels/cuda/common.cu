// What every file here begins with. CUDA in five sentences, for a reader who has never seen it:
//
// A kernel is a function that the card runs in many threads at once; each finds out from its number which part of the
// work is its own. Threads come in blocks of blockDim.x (here mostly 256), and threadIdx.x counts within the block;
// blockIdx.x and blockIdx.y count the blocks. Only the threads of one block can wait for each other (__syncthreads) and
// exchange numbers (__shared__). Memory is fastest where neighbouring threads read neighbouring numbers. Blocks run in
// any order, so nothing here adds into memory that another block adds into: each number is written by one thread,
// which sums its terms in a fixed order, and two runs give the same bits.
//
// Real is float or double. VECTOR numbers (1, 2 or 4) are read at a time where they lie side by side; a TILE of numbers
// is what one thread keeps of a row, up to 16 of them.

struct alignas(sizeof(Real) * VECTOR) Vector { Real at[VECTOR]; };
struct alignas(sizeof(Real) * (TILE % 4 == 0 ? 4 : TILE % 2 == 0 ? 2 : 1)) Tile { Real at[TILE]; };

// A picture of H x W pixels and C channels, the OH x OW windows that slide over it, F numbers for each of them.
struct Geometry { int H, W, C, OH, OW, F, KH, KW, SH, SW, top, left; };

__device__ Vector vector_at(const Real* place) { return *reinterpret_cast<const Vector*>(place); }

__device__ Vector zeros() {
    Vector v;
    for (int u = 0; u < VECTOR; ++u) v.at[u] = 0;
    return v;
}

// Σ of `value` over the threads of a block, the same on each of them. blockDim.x is a power of two.
template <class Number> __device__ Number block_sum(Number value) {
    __shared__ Number values[1024];
    __syncthreads();
    values[threadIdx.x] = value;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
    }
    __syncthreads();
    return values[0];
}

// Σ of `value` over the lanes of a block of up to 256 threads, those that lie `columns` apart, in their order. Only the
// first lane is told.
__device__ Real sum_of_lanes(Real value, int columns) {
    __shared__ Real values[256];
    __syncthreads();
    values[threadIdx.x] = value;
    __syncthreads();
    const int lanes = blockDim.x / columns;
    if (threadIdx.x < columns)
        for (int other = 1; other < lanes; ++other) value += values[threadIdx.x + other * columns];
    return value;
}

// Counts the blocks along x that have come here. True for the threads of the last one: it sees what all others have
// written before (through volatile, past its own cache). `arrived`, a number per blockIdx.y, is 0 before and after.
__device__ bool is_last_block(unsigned* arrived) {
    __shared__ bool last;
    __threadfence();  // what was written above is seen by the other blocks before the count below
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived + blockIdx.y, 1u) == gridDim.x - 1;
        if (last) arrived[blockIdx.y] = 0;  // ready for the next call
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
}
