// The weights' gradient with stride 1 on tensor cores (fragments.cu):
//
//     gw[k,l,c,f] = Σ_n Σ_i Σ_j x[n, i + k - top, j + l - left, c] · gz[n,i,j,f],  gz = gy where the ReLU let through
//
// Here the sums run over pixels, so pixels are the columns of A and the rows of B. The rows of A are channels under a
// tap: KW · EIGHTS groups of 8 channels, the group u being channels 8 · (u % EIGHTS) … + 7 of the pixel that lies
// u / EIGHTS to the right. Two groups, 16 rows, enter one instruction.
//
// A block takes every gridDim.x-th tile of 32 x ROWS · (rows of warps) pixels: x with its margin and gz are copied into
// shared memory, and gb is summed on the way, from numbers not yet rounded. Its warps divide the tile's pixels among
// themselves; each keeps a whole gw of these FILTERS · 8 filters in its registers. At the end the warps add theirs in
// their order, and the block writes partial[block]; sum_rows (sums.cu) adds those.
//
// As in tensor_convolve.cu, row r of x lies under tap k of output row r - k: a fragment of x, once read, serves KH taps.

#define EIGHTS ((CHANNELS + 7) / 8)              // groups of 8 channels of x
#define GROUPS (TAPS_W * EIGHTS)
#define PAIRS ((GROUPS + 1) / 2)
#define STEP_PIXELS (STEP * PER_WORD)            // pixels in one instruction
#define ACROSS (32 / STEP_PIXELS)                // warps side by side
#define TILE_ROWS (WARPS / ACROSS * ROWS)        // of output pixels
#define COLUMNS (32 + TAPS_W - 1)                    // of x, with its margin
#define FRAGMENT (4 * WARP)                      // sums of a warp in one instruction

// The 16 x STEP words of A, or the STEP words x 8 of B, from a tile in shared memory. `at` points to the first pixel's
// first number of the first group of 8 channels, other_group (A only) is how many numbers further the second lies.
__device__ void load_a(unsigned (&a)[4], const Real* at, int pitch, int other_group) {
    const int lane = threadIdx.x % WARP;
#if TENSOR_TYPE == TF32
    const Real* mine = at + lane % 4 * pitch + lane / 4;
    a[0] = __float_as_uint(mine[0]);
    a[1] = __float_as_uint(mine[other_group]);
    a[2] = __float_as_uint(mine[4 * pitch]);
    a[3] = __float_as_uint(mine[4 * pitch + other_group]);
#else  // the pairs of a word are neighboring pixels: ldmatrix.trans reads four 8 x 8 matrices and turns each one
    const Real* row = at + (lane % 8 + lane / 16 * 8) * pitch + (lane / 8 % 2 ? other_group : 0);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "r"((unsigned)__cvta_generic_to_shared(row)));
#endif
}

__device__ void load_b(unsigned (&b)[2], const Real* at, int pitch) {
    const int lane = threadIdx.x % WARP;
#if TENSOR_TYPE == TF32
    const Real* mine = at + lane % 4 * pitch + lane / 4;
    b[0] = __float_as_uint(mine[0]);
    b[1] = __float_as_uint(mine[4 * pitch]);
#else
    const Real* row = at + lane % 16 * pitch;
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(b[0]), "=r"(b[1]) : "r"((unsigned)__cvta_generic_to_shared(row)));
#endif
}

// sums += xᵀ gz over this warp's pixels of a tile
__device__ void multiply_tile(float (&sums)[TAPS_H][PAIRS][FILTERS][4], const Real* x, const Real* gz) {
    constexpr int PITCH_X = PITCH * PER_WORD, PITCH_GZ = GZ_PITCH * PER_WORD;
    const int warp = threadIdx.x / WARP, row = warp / ACROSS * ROWS, column = warp % ACROSS * STEP_PIXELS;
    unsigned b[ROWS][FILTERS][2];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
#pragma unroll
        for (int n = 0; n < FILTERS; ++n) load_b(b[i][n], gz + ((row + i) * 32 + column) * PITCH_GZ + 8 * n, PITCH_GZ);
#pragma unroll
    for (int r = 0; r < ROWS + TAPS_H - 1; ++r) {
        const Real* first = x + ((row + r) * COLUMNS + column) * PITCH_X;
#pragma unroll
        for (int m = 0; m < PAIRS; ++m) {
            const int u = 2 * m, v = 2 * m + 1 < GROUPS ? 2 * m + 1 : u;  // an odd group out is multiplied twice
            const int of_u = u / EIGHTS * PITCH_X + u % EIGHTS * 8, of_v = v / EIGHTS * PITCH_X + v % EIGHTS * 8;
            unsigned a[4];
            load_a(a, first + of_u, PITCH_X, of_v - of_u);
#pragma unroll
            for (int k = 0; k < TAPS_H; ++k)
                if (r - k >= 0 && r - k < ROWS)
#pragma unroll
                    for (int n = 0; n < FILTERS; ++n) multiply(sums[k][m][n], a, b[r - k][n]);
        }
    }
}

// partial[block] = gw of the block's tiles, partial_gb[block] = their gb (where it is given)
// grid: x over the partial sums, y over groups of FILTERS · 8 filters. F is even.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
tensor_weight_gradient(const Real* __restrict__ x, const Real* __restrict__ gy, const Real* __restrict__ output,
                       float* __restrict__ partial, float* __restrict__ partial_gb, long long tiles, Geometry g) {
    extern __shared__ uint4 shared[];
    Real* x_tile = reinterpret_cast<Real*>(shared);
    Real* gz_tile = x_tile + (TILE_ROWS + TAPS_H - 1) * COLUMNS * PITCH * PER_WORD;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, f0 = blockIdx.y * FILTERS * 8;
    const int across = (g.OW + 31) / 32, down = (g.OH + TILE_ROWS - 1) / TILE_ROWS;
    const int filters = min(g.F - f0, FILTERS * 8);
    float sums[TAPS_H][PAIRS][FILTERS][4] = {}, gb[GZ_VECTOR] = {}, ignored[VECTOR] = {};
    for (long long number = blockIdx.x; number < tiles; number += gridDim.x) {
        const long long n = number / (across * down);
        const int i0 = (int)(number / across % down) * TILE_ROWS, j0 = (int)(number % across) * 32;
        const long long gy_image = n * g.OH * g.OW * g.F + f0;
        __syncthreads();  // nobody reads the tiles before any more
        copy_tile<TILE_ROWS + TAPS_H - 1, COLUMNS, EIGHTS * 8 / PER_WORD, PITCH, VECTOR>(
            x_tile, x + n * g.H * g.W * CHANNELS, nullptr, g.H, g.W, CHANNELS, CHANNELS, i0 - g.top, j0 - g.left,
            ignored);
        copy_tile<TILE_ROWS, 32, FILTERS * 8 / PER_WORD, GZ_PITCH, GZ_VECTOR>(
            gz_tile, gy + gy_image, output ? output + gy_image : nullptr, g.OH, g.OW, g.F, filters, i0, j0, gb);
        __syncthreads();
        multiply_tile(sums, x_tile, gz_tile);
    }

    float* total = reinterpret_cast<float*>(shared);  // of all warps, in the order of the fragments
    for (int w = 0; w < WARPS; ++w) {
        __syncthreads();
        if (w != warp) continue;
#pragma unroll
        for (int e = 0; e < TAPS_H * PAIRS * FILTERS * 4; ++e) {
            const float mine = sums[e / 4 / FILTERS / PAIRS][e / 4 / FILTERS % PAIRS][e / 4 % FILTERS][e % 4];
            total[e * WARP + lane] = w ? total[e * WARP + lane] + mine : mine;
        }
    }
    __syncthreads();
    float* out = partial + (long long)blockIdx.x * TAPS_H * TAPS_W * CHANNELS * g.F;
    for (int e = threadIdx.x; e < TAPS_H * PAIRS * FILTERS * FRAGMENT; e += THREADS) {
        const int holder = e % WARP, word = e / WARP % 4, n = e / FRAGMENT % FILTERS;
        const int m = e / FRAGMENT / FILTERS % PAIRS, k = e / FRAGMENT / FILTERS / PAIRS;
        const int u = 2 * m + word / 2, c = u % EIGHTS * 8 + holder / 4, f = f0 + n * 8 + holder % 4 * 2 + word % 2;
        if (u < GROUPS && c < CHANNELS && f < g.F) out[((k * TAPS_W + u / EIGHTS) * CHANNELS + c) * g.F + f] = total[e];
    }

    if (!partial_gb) return;
    constexpr int PARTS = FILTERS * 8 / GZ_VECTOR, LANES = THREADS / PARTS;  // as in copy_tile
    __syncthreads();
#pragma unroll
    for (int u = 0; u < GZ_VECTOR; ++u) total[u * THREADS + threadIdx.x] = gb[u];
    __syncthreads();
    if (threadIdx.x >= filters) return;
    float sum = 0;
    for (int of = 0; of < LANES; ++of) sum += total[threadIdx.x % GZ_VECTOR * THREADS + of * PARTS + threadIdx.x / GZ_VECTOR];
    partial_gb[(long long)blockIdx.x * g.F + f0 + threadIdx.x] = sum;
}
