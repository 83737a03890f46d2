// The whole backward of a convolution with stride 1 on tensor cores (fragments.cu), in one pass over gy, y and x:
//
//     gz = gy where y > 0, else 0         gx = Pᵀ(gz Wᵀ)         gW = P(x)ᵀ gz         gb = Σ gz
//
// A block takes every gridDim.x-th tile of TILE_ROWS x TILE_COLUMNS pixels of x. gz is made on the way into shared
// memory, with the margin that the windows over the tile need, and summed for gb before it is rounded; it is never
// written to memory.
//
// gx is a convolution of gz with the taps turned around (tiles.cu).
//
// gw, as far as this tile goes, with gz counted from the corner of the margin:
//
//     gw[k,l,c,f] = Σ over the tile's pixels (p,q) of  x[p,q,c] · gz[p + KH-1 - k, q + KW-1 - l, f]
//
// These sums run over pixels, so pixels are the columns of A and the rows of B. The rows of A are filters of gz under a
// turned tap: TAPS_W · F8 groups of 8, where group u holds the filters from 8 · (u % F8) on of the pixels that lie
// u / F8 to the right. Two groups, 16 rows, enter one instruction. B are 8 channels of x. Two groups with 8 channels,
// for all rows of taps, are a unit:
//
//     sums[turned k][16 filters, 8 channels] += gz[row + turned k][16 filters, 8 pixels] · x[row][8 pixels, 8 channels]
//
// A warp keeps UNITS of them in its registers, from tile to tile, for a part of the pixels. At the end the warps with
// the same units add theirs in their order, and the block writes partial[block]; sum_rows (sums.cu) adds those.

#define F8 ((CHANNELS + 7) / 8)  // CHANNELS is F here: the channels of what is convolved, gz
#define GROUPS (TAPS_W * F8)
#define PAIRS ((GROUPS + 1) / 2)
#define UNITS ((PAIRS * EIGHTS + SPLIT - 1) / SPLIT)  // SPLIT warps divide all units among themselves
#define PARTS (WARPS / SPLIT)                         // of the pixels
#define TILE_COLUMNS (ACROSS * 16)
#define TILE_ROWS (WARPS / ACROSS * ROWS)
#define STEP_PIXELS (STEP * PER_WORD)  // pixels in one instruction
#define STRIPS (TILE_COLUMNS / STEP_PIXELS)
#define AT_ONCE 4  // rows of pixels: a fragment of gz, once read, serves the taps of up to that many

// The 16 x STEP words of A from a tile in shared memory. `at` points to the first number of the first 8 at the first
// pixel; the second 8 lie `further`.
__device__ void load_a(unsigned (&a)[4], const Real* at, int pitch, int further) {
    const int lane = threadIdx.x % WARP;
#if TENSOR_TYPE == TF32
    const Real* mine = at + lane % 4 * pitch + lane / 4;
    a[0] = __float_as_uint(mine[0]);
    a[1] = __float_as_uint(mine[further]);
    a[2] = __float_as_uint(mine[4 * pitch]);
    a[3] = __float_as_uint(mine[4 * pitch + further]);
#else  // the two numbers of a word are neighboring pixels: ldmatrix.trans reads 8 x 8 numbers and turns them
    const Real* row = at + (lane % 8 + lane / 16 * 8) * pitch + (lane / 8 % 2 ? further : 0);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3]) : "r"((unsigned)__cvta_generic_to_shared(row)));
#endif
}

// The STEP words x 8 of B
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

// sums += gzᵀ x over this warp's pixels of a tile, for its units
__device__ void multiply_tiles(float (&sums)[UNITS][TAPS_H][4], const Real* gz, const Real* x) {
    constexpr int APART = PITCH * PER_WORD, X_APART = X_PITCH * PER_WORD;
    const int warp = threadIdx.x / WARP;
#pragma unroll 1
    for (int part = warp / SPLIT; part < STRIPS * TILE_ROWS / AT_ONCE; part += PARTS) {
        const int row = part / STRIPS * AT_ONCE, column = part % STRIPS * STEP_PIXELS;
#pragma unroll
        for (int unit = 0; unit < UNITS; ++unit) {
            const int number = min(warp % SPLIT * UNITS + unit, PAIRS * EIGHTS - 1), n = number % EIGHTS;
            const int u = number / EIGHTS * 2, v = min(u + 1, GROUPS - 1);  // an odd group out is multiplied twice
            const int of_u = u / F8 * APART + u % F8 * 8, of_v = v / F8 * APART + v % F8 * 8;
            unsigned b[AT_ONCE][2];
#pragma unroll
            for (int i = 0; i < AT_ONCE; ++i)
                load_b(b[i], x + ((row + i) * TILE_COLUMNS + column) * X_APART + 8 * n, X_APART);
#pragma unroll
            for (int r = 0; r < AT_ONCE + TAPS_H - 1; ++r) {
                unsigned a[4];
                load_a(a, gz + ((row + r) * COLUMNS + column) * APART + of_u, APART, of_v - of_u);
#pragma unroll
                for (int k = 0; k < TAPS_H; ++k)
                    if (r - k >= 0 && r - k < AT_ONCE) multiply(sums[unit][k], a, b[r - k]);
            }
        }
    }
}

// Adds the sums of the warps with the same units, in their order, and writes them to out, a whole gw. `total` is shared
// memory. All threads call it.
__device__ void write_weight_gradient(float* out, float* total, const float (&sums)[UNITS][TAPS_H][4], int c0, int C) {
    constexpr int SUMS = UNITS * TAPS_H * 4;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    float* own = total + warp % SPLIT * SUMS * WARP + lane;
    for (int part = 0; part < PARTS; ++part) {
        __syncthreads();
        if (part != warp / SPLIT) continue;
#pragma unroll
        for (int e = 0; e < SUMS; ++e) {
            const float mine = sums[e / 4 / TAPS_H][e / 4 % TAPS_H][e % 4];
            own[e * WARP] = part ? own[e * WARP] + mine : mine;
        }
    }
    __syncthreads();
    for (int e = threadIdx.x; e < PAIRS * EIGHTS * TAPS_H * 4 * WARP; e += THREADS) {
        const int holder = e % WARP, word = e / WARP % 4, turned_k = e / WARP / 4 % TAPS_H;
        const int number = e / WARP / 4 / TAPS_H, n = number % EIGHTS, u = number / EIGHTS * 2 + word / 2;
        const int f = u % F8 * 8 + holder / 4, c = c0 + n * 8 + holder % 4 * 2 + word % 2;
        const int k = TAPS_H - 1 - turned_k, l = TAPS_W - 1 - u / F8;
        if (u < GROUPS && f < CHANNELS && c < C) out[((k * TAPS_W + l) * C + c) * CHANNELS + f] = total[e];
    }
}

// Adds what the threads have summed of gz, in their order, and writes it to out. All threads call it.
__device__ void write_bias_gradient(float* out, float* total, const float (&sums)[VECTOR]) {
    constexpr int VECTORS = STEPS * STEP * PER_WORD / VECTOR, LANES = THREADS / VECTORS;  // as in TileCopy
    __syncthreads();
#pragma unroll
    for (int u = 0; u < VECTOR; ++u) total[u * THREADS + threadIdx.x] = sums[u];
    __syncthreads();
    const int f = threadIdx.x;
    if (f >= CHANNELS) return;
    float sum = 0;
    for (int lane = 0; lane < LANES; ++lane) sum += total[f % VECTOR * THREADS + lane * VECTORS + f / VECTOR];
    out[f] = sum;
}

// gx (where it is given), partial[block] = gw of the block's tiles, partial_gb[block] (where it is given) = their gb.
// y is given behind a ReLU. POOLED: y was pooled by 2x2, too, and argmax tells to which numbers of gy gpooled is added.
// g: of the convolution x → gy. Padding is at most KH - 1 and KW - 1, C and F are even.
// Of the C channels, the last BESIDE are those of `beside`, and of gbeside; BESIDE is even.
// grid: x over the partial sums, y over groups of EIGHTS · 8 channels
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
tensor_backward(const Real* __restrict__ x, const Real* __restrict__ beside, const float* __restrict__ w,
                const Real* __restrict__ gy, const Real* __restrict__ y, const Real* __restrict__ gpooled,
                const unsigned char* __restrict__ argmax, Real* __restrict__ gx, Real* __restrict__ gbeside,
                float* __restrict__ partial, float* __restrict__ partial_gb, int tiles, Geometry g) {
    extern __shared__ uint4 shared[];
    using Copy = TileCopy<TILE_ROWS, TILE_COLUMNS, EIGHTS * 8 / PER_WORD, X_PITCH, X_VECTOR>;  // of x
    Real* weights = reinterpret_cast<Real*>(shared);
    Real* gz_tile = weights + WEIGHTS * PER_WORD;
    Real* x_tile = gz_tile + (TILE_ROWS + TAPS_H - 1) * COLUMNS * PITCH * PER_WORD;
    const Images<const Real, BESIDE> all_of_x = {x, beside, g.C};
    const Images<Real, BESIDE> all_of_gx = {gx, gbeside, g.C};
    const Images<const Real, 0> all_of_gy = {gy, nullptr, CHANNELS};
    const int c0 = blockIdx.y * EIGHTS * 8;
    const int across = (max(g.W, g.OW) + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const int down = (max(g.H, g.OH) + TILE_ROWS - 1) / TILE_ROWS;
    const int above = TAPS_H - 1 - g.top, before = TAPS_W - 1 - g.left;  // margin on that side
    float gw[UNITS][TAPS_H][4] = {}, gb[VECTOR] = {};
    if (gx) copy_weights(weights, w, c0, g.C);
    for (int number = blockIdx.x; number < tiles; number += gridDim.x) {
        const long long n = number / (across * down);
        const int p0 = number / across % down * TILE_ROWS, q0 = number % across * TILE_COLUMNS;
        const long long gy_pixel = n * g.OH * g.OW, x_pixel = n * g.H * g.W;  // the first of the image
        const auto add_pooled = [&](int i, int j, int f, Neighbors<VECTOR>& read) {
#if POOLED
            const int H = g.OH / 2, W = g.OW / 2;
            if (i / 2 >= H || j / 2 >= W) return;  // a row or column left over lies in no window
            const long long window = ((n * H + i / 2) * W + j / 2) * CHANNELS + f;
            const auto index = *reinterpret_cast<const Neighbors<VECTOR, unsigned char>*>(argmax + window);
            const auto error = *reinterpret_cast<const Neighbors<VECTOR>*>(gpooled + window);
#pragma unroll
            for (int u = 0; u < VECTOR; ++u)
                if (index.at[u] == i % 2 * 2 + j % 2) read.at[u] = Real((float)read.at[u] + (float)error.at[u]);
#endif
        };
        const auto add_to_gb = [&](int row, int column, const Neighbors<VECTOR>& read) {
            if (row < above || row >= above + TILE_ROWS || column < before || column >= before + TILE_COLUMNS) return;
#pragma unroll
            for (int u = 0; u < VECTOR; ++u) gb[u] += (float)read.at[u];  // each pixel of gz once: not the margins
        };
        __syncthreads();  // nobody reads the tiles before any more
        Copy::start(x_tile, all_of_x.from(x_pixel), g.H, g.W, c0, min(g.C - c0, EIGHTS * 8), p0, q0);
        TileCopy<TILE_ROWS + TAPS_H - 1, COLUMNS, STEPS * STEP, PITCH, VECTOR>::through_registers(
            gz_tile, all_of_gy.from(gy_pixel), y ? y + gy_pixel * CHANNELS : nullptr, g.OH, g.OW, 0, CHANNELS,
            p0 - above, q0 - before, add_pooled, add_to_gb);
        Copy::finish(x_tile);  // with cp.async it has been on its way while gz was made
        __syncthreads();
        multiply_tiles(gw, gz_tile, x_tile);
        if (!gx) continue;
        float sums[ROWS][EIGHTS][4] = {};
        convolve_tile(sums, gz_tile, weights);
        write_tile(all_of_gx.from(x_pixel), sums, nullptr, false, g.H, g.W, p0, q0, c0);
    }
    float* total = reinterpret_cast<float*>(shared);
    write_weight_gradient(partial + (long long)blockIdx.x * TAPS_H * TAPS_W * g.C * CHANNELS, total, gw, c0, g.C);
    if (partial_gb && blockIdx.y == 0) write_bias_gradient(partial_gb + (long long)blockIdx.x * CHANNELS, total, gb);
}
