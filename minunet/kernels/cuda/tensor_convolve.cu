// Convolution with stride 1 on tensor cores (fragments.cu), without P(x): fewer bytes through memory, and each number
// read from shared memory meets many others.
//
// A block takes tiles of ACROSS · 16 x DOWN · ROWS output pixels, one after the other. It copies the pixels of x under a
// tile, with the margin of KH - 1 rows and KW - 1 columns that the windows need, into shared memory once; all taps read
// them there. The weights wait there for the whole time, as fragments.
//
// A warp computes ROWS rows of 16 pixels, FILTERS · 8 filters each. The 16 pixels are the rows of A, STEP words of their
// channels its columns, STEP x 8 weights are B. Row r of the tile lies under the tap (k, l) of output row r - k: so its
// fragment, once read, serves the KH taps of a column, and the weights of these, once read, serve all ROWS.
//
//     sums[i][16 pixels, 8 filters] += x[i + k][16 pixels + l, STEP words] · w[k, l][STEP words, 8 filters]
//
// Neighboring pixels must not begin in the same banks of shared memory, or the threads of a warp wait for each other:
// so a pixel takes an odd multiple of 8 words there (PITCH). Then the 16 threads that are served at a time, four pixels
// with four times two words, find theirs in 32 different banks.

#define COLUMNS (ACROSS * 16 + TAPS_W - 1)  // of the tile, with its margin
#define DOWN (WARPS / ACROSS)           // warps above each other
#define TILE_ROWS (DOWN * ROWS + TAPS_H - 1)
#define STEPS ((CHANNELS + STEP * PER_WORD - 1) / (STEP * PER_WORD))

// w[k,l,c,f] of this convolution; TRANSPOSED: of its transpose, whose taps go the other way, and whose filters are the
// channels of w
__device__ float weight(const float* w, int k, int l, int c, int f, int F) {
    if (c >= CHANNELS || f >= F) return 0;
#if TRANSPOSED
    return w[(((TAPS_H - 1 - k) * TAPS_W + TAPS_W - 1 - l) * F + f) * CHANNELS + c];
#else
    return w[((k * TAPS_W + l) * CHANNELS + c) * F + f];
#endif
}

// Lays out the weights of FILTERS · 8 filters from f0 on as fragments: 64 words for each tap, step and 8 filters,
// the two of lane 0, then the two of lane 1, …
__device__ void copy_weights(Real* fragments, const float* w, int f0, int F) {
    for (int word = threadIdx.x; word < TAPS_H * TAPS_W * STEPS * FILTERS * 64; word += THREADS) {
        const int lane = word / 2 % 32, group = word / 64;
        const int n = group % FILTERS, s = group / FILTERS % STEPS, tap = group / FILTERS / STEPS;
        const int f = f0 + 8 * n + lane / 4, first = (STEP * s + lane % 4 * 2 + word % 2) * PER_WORD;
#pragma unroll
        for (int u = 0; u < PER_WORD; ++u)
            fragments[word * PER_WORD + u] = as_factor(Real(weight(w, tap / TAPS_W, tap % TAPS_W, first + u, f, F)));
    }
}

// sums += the products of the tile under the ROWS rows of this warp with all weights
__device__ void multiply_tile(float (&sums)[ROWS][FILTERS][4], const unsigned* tile, const uint2* fragments) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int first = warp / ACROSS * ROWS * COLUMNS + warp % ACROSS * 16 + lane / 4;  // the pixel of row g of A
    const unsigned* words = tile + first * PITCH + lane % 4 * 2;
#pragma unroll 1
    for (int l = 0; l < TAPS_W; ++l) {
#pragma unroll 1
        for (int s = 0; s < STEPS; ++s) {
            unsigned b[TAPS_H][FILTERS][2];
#pragma unroll
            for (int k = 0; k < TAPS_H; ++k)
#pragma unroll
                for (int n = 0; n < FILTERS; ++n) {
                    const uint2 two = fragments[(((k * TAPS_W + l) * STEPS + s) * FILTERS + n) * WARP + lane];
                    b[k][n][0] = two.x, b[k][n][1] = two.y;
                }
#pragma unroll
            for (int r = 0; r < ROWS + TAPS_H - 1; ++r) {
                const unsigned* at = words + (r * COLUMNS + l) * PITCH + STEP * s;
                const uint2 upper = *reinterpret_cast<const uint2*>(at);
                const uint2 lower = *reinterpret_cast<const uint2*>(at + 8 * PITCH);
                const unsigned a[4] = {upper.x, lower.x, upper.y, lower.y};
#pragma unroll
                for (int k = 0; k < TAPS_H; ++k)
                    if (r - k >= 0 && r - k < ROWS)
#pragma unroll
                        for (int n = 0; n < FILTERS; ++n) multiply(sums[r - k][n], a, b[k][n]);
            }
        }
    }
}

// y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c x[n, i + k - top, j + l - left, c] · w[k,l,c,f];  relu: negative → 0. Where `output` is
// given, x counts as 0 where that is not positive.
// grid: x over the tiles, TILES to a block, y over groups of FILTERS · 8 filters. F is even.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
tensor_convolve(const Real* __restrict__ x, const Real* __restrict__ output, const float* __restrict__ w,
                const float* __restrict__ b, Real* __restrict__ y, long long tiles, Geometry g, int relu) {
    extern __shared__ uint4 shared[];
    Real* fragments = reinterpret_cast<Real*>(shared);
    Real* tile = fragments + TAPS_H * TAPS_W * STEPS * FILTERS * 64 * PER_WORD;
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, f0 = blockIdx.y * FILTERS * 8;
    const int across = (g.OW + ACROSS * 16 - 1) / (ACROSS * 16), down = (g.OH + DOWN * ROWS - 1) / (DOWN * ROWS);
    const long long image_size = (long long)g.H * g.W * CHANNELS;
    float ignored[VECTOR] = {};
    copy_weights(fragments, w, f0, g.F);
    for (int m = 0; m < TILES; ++m) {
        const long long number = (long long)blockIdx.x * TILES + m;
        if (number >= tiles) break;
        const long long n = number / (across * down);
        const int i0 = (int)(number / across % down) * DOWN * ROWS, j0 = (int)(number % across) * ACROSS * 16;
        __syncthreads();  // nobody reads the tile before any more
        copy_tile<TILE_ROWS, COLUMNS, STEPS * STEP, PITCH, VECTOR>(
            tile, x + n * image_size, output ? output + n * image_size : nullptr, g.H, g.W, CHANNELS, CHANNELS,
            i0 - g.top, j0 - g.left, ignored);
        __syncthreads();
        float sums[ROWS][FILTERS][4] = {};
        multiply_tile(sums, reinterpret_cast<unsigned*>(tile), reinterpret_cast<uint2*>(fragments));
#pragma unroll
        for (int r = 0; r < ROWS; ++r)
#pragma unroll
            for (int e = 0; e < FILTERS * 2; ++e) {  // two neighboring filters of a pixel
                const int i = i0 + warp / ACROSS * ROWS + r, j = j0 + warp % ACROSS * 16 + lane / 4 + e % 2 * 8;
                const int f = f0 + e / 2 * 8 + lane % 4 * 2;
                if (i >= g.OH || j >= g.OW || f >= g.F) continue;
                float two[2] = {sums[r][e / 2][e % 2 * 2], sums[r][e / 2][e % 2 * 2 + 1]};
                Neighbors<2> pair;
#pragma unroll
                for (int u = 0; u < 2; ++u) {
                    if (b) two[u] += b[f + u];
                    pair.at[u] = Real(relu && two[u] < 0 ? 0.0f : two[u]);
                }
                *reinterpret_cast<Neighbors<2>*>(y + ((n * g.OH + i) * g.OW + j) * g.F + f) = pair;
            }
    }
}
