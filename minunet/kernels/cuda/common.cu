// What every source here begins with. CUDA in a few sentences, for a reader who has never seen it:
//
// A kernel is a function that the GPU runs in many threads at once; each thread works out from its number which part of
// the work is its own. Threads come in blocks of blockDim.x, and threadIdx.x counts within the block; blockIdx.x and
// blockIdx.y count the blocks, and all of them, gridDim.x times gridDim.y, are the grid. Only threads of the same block
// can wait for each other (__syncthreads) and exchange numbers (__shared__). Memory is fastest where neighboring threads
// read neighboring numbers. Blocks run in any order, and how a sum of fractions is rounded depends on the order of its
// terms. So no two blocks add fractions to the same number: it is written by one thread, which sums its terms in a fixed
// order, and two runs give the same bits. (Whole numbers may be added in any order.)
//
// A GPU has many multiprocessors, each of which runs a few blocks at a time, in warps of 32 threads that go in step. A
// thread's own variables lie in registers, the fastest memory there is. A multiprocessor has 65,536 of them, for all of
// its threads: the fewer a thread needs, the more threads there are to compute while others wait for memory. An array
// lies in registers only if the compiler knows every index, and so its loops are written out (#pragma unroll).
//
// __global__ marks a kernel, __device__ a function that kernels call. __restrict__ is a promise that no other pointer
// leads to the same numbers.
//
// The macros in capitals, Real and Sum, come from minunet/kernels/gpu/launch.py. Real is the type in which images and
// activations are stored: float, double, or one of 16 bits (__half, __nv_bfloat16). Sum is the type of weights and sums,
// and the one to compute with: double for double, else float. There are THREADS threads in a block. VECTOR numbers (1, 2
// or 4) that lie side by side are read at a time. A TILE of numbers, up to 16, is what one thread keeps of a row.

template <class Number, int COUNT>
struct alignas(sizeof(Number) * (COUNT % 4 == 0 ? 4 : COUNT % 2 == 0 ? 2 : 1)) Numbers { Number at[COUNT]; };

using Vector = Numbers<Real, VECTOR>;
using Tile = Numbers<Real, TILE>;
using SumTile = Numbers<Sum, TILE>;

// An image of H x W pixels and C channels, the OH x OW windows that slide over it, and F numbers for each window.
struct Geometry { int H, W, C, OH, OW, F, KH, KW, SH, SW, top, left; };

// Images with `channels` numbers in a pixel. The last SECOND of them lie in an array of their own, if there are any:
//
//     first    a a | a a | a a | …         channels = 2 + 3, SECOND = 3: pixel 1 is  a a b b b
//     second   b b b | b b b | b b b | …
//
// So a convolution can read a concatenation that nobody has written. The kernels that do are compiled with BESIDE, the
// channels of the second array, or 0.
template <class Number, int SECOND> struct Images {
    Number *first, *second;
    int channels;

    __device__ Images from(long long pixel) const {
        return {first + pixel * (channels - SECOND), SECOND ? second + pixel * SECOND : nullptr, channels};
    }

    // Where channel c of a pixel lies, and as many of the numbers after it as do not cross over to the other array.
    __device__ Number* at(long long pixel, int c) const {
        return (in_first(c) ? first + c : second + c - (channels - SECOND)) + pixel * apart(c);
    }

    // How far apart channel c of two neighboring pixels is
    __device__ int apart(int c) const { return in_first(c) ? channels - SECOND : SECOND; }

    __device__ bool in_first(int c) const { return SECOND == 0 || c < channels - SECOND; }
};

template <class Number> __device__ Numbers<Number, VECTOR> vector_at(const Number* address) {
    return *reinterpret_cast<const Numbers<Number, VECTOR>*>(address);
}

template <class Number> __device__ Numbers<Number, VECTOR> zeros() {
    Numbers<Number, VECTOR> v;
    for (int u = 0; u < VECTOR; ++u) v.at[u] = (Number)0;
    return v;
}

// Sums, rounded to be stored
__device__ Vector rounded(Numbers<Sum, VECTOR> sums) {
    Vector v;
    for (int u = 0; u < VECTOR; ++u) v.at[u] = (Real)sums.at[u];
    return v;
}

// Σ of `value` over the threads of a block; every thread gets it. THREADS is a power of two.
template <class Number> __device__ Number block_sum(Number value) {
    __shared__ Number values[THREADS];
    __syncthreads();
    values[threadIdx.x] = value;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) values[threadIdx.x] += values[threadIdx.x + half];
    }
    __syncthreads();
    return values[0];
}

// Σ of `value` over the lanes of a block, which are the threads that lie `columns` apart, in their order. Only the
// first lane gets it.
__device__ Sum sum_of_lanes(Sum value, int columns) {
    __shared__ Sum values[THREADS];
    __syncthreads();
    values[threadIdx.x] = value;
    __syncthreads();
    const int lanes = blockDim.x / columns;
    if (threadIdx.x < columns)
        for (int other = 1; other < lanes; ++other) value += values[threadIdx.x + other * columns];
    return value;
}

// Counts the blocks along x that have come this far. True for the threads of the last one, which sees what all the
// others have written (it reads through volatile, past its own cache). `arrived`, a number per blockIdx.y, is 0 before
// and after.
__device__ bool is_last_block(unsigned* arrived) {
    __shared__ bool last;
    __threadfence();  // other blocks see what was written above before they see the count below
    __syncthreads();
    if (threadIdx.x == 0) {
        last = atomicAdd(arrived + blockIdx.y, 1u) == gridDim.x - 1;
        if (last) arrived[blockIdx.y] = 0;  // ready for the next call
    }
    __syncthreads();
    if (last) __threadfence();
    return last;
}
