// Tiles of an image in shared memory, and their convolution on tensor cores (fragments.cu).
//
// The pixels under a tile of output pixels, with the margin of KH - 1 rows and KW - 1 columns that the windows need,
// are copied into shared memory once (copies.cu); all taps read them there. The weights wait there too, laid out as
// fragments.
//
//     the tiles of an image           a tile and its margin (windows of 3x3, ROWS = 2, ACROSS = 1)
//     ┌──────┬──────┬────┐            ┌──────────────────────┐
//     │      │      │    │            │  ┌────────────────┐  │
//     ├──────┼──────┼────┤            │  │ warp 0         │  │    16 x 2 output pixels, under 18 x 4 pixels of x
//     │      │ this │    │            │  ├────────────────┤  │
//     ├──────┼──────┼────┤            │  │ warp 1         │  │    of which the last two rows serve both
//     │      │      │    │            │  ├────────────────┤  │
//     └──────┴──────┴────┘            │  │ …              │  │
//
// A warp computes ROWS rows of 16 pixels, EIGHTS · 8 filters each. The 16 pixels are the rows of A, STEP words of their
// channels its columns, STEP x 8 weights are B. Row r of the tile lies under the tap (k, l) of output row r - k: so its
// fragment, once read, serves the KH taps of a column, and the weights of these, once read, serve all ROWS.
//
//     sums[i][16 pixels, 8 filters] += x[i + k][16 pixels + l, STEP words] · w[k, l][STEP words, 8 filters]
//
// Shared memory has 32 banks of one word each, and the threads of a warp wait for each other where they want different
// words of the same bank. So neighboring pixels must not begin in the same bank: a pixel takes an odd multiple of 8
// words (PITCH). Then the 16 threads that are served at a time, four pixels with four times two words, find theirs in
// 32 different banks.

#define COLUMNS (ACROSS * 16 + TAPS_W - 1)  // of the tile, with its margin
#define STEPS ((CHANNELS + STEP * PER_WORD - 1) / (STEP * PER_WORD))
#define WEIGHTS (TAPS_H * TAPS_W * STEPS * EIGHTS * 64)  // words

// w[k,l,c,f] of a convolution with F filters. TRANSPOSED: of the transpose of one, whose taps go the other way, and
// whose filters are the channels of w.
__device__ float weight(const float* w, int k, int l, int c, int f, int F) {
    if (c >= CHANNELS || f >= F) return 0;
#if TRANSPOSED
    return w[(((TAPS_H - 1 - k) * TAPS_W + TAPS_W - 1 - l) * F + f) * CHANNELS + c];
#else
    return w[((k * TAPS_W + l) * CHANNELS + c) * F + f];
#endif
}

// Lays out the weights of EIGHTS · 8 filters from f0 on as fragments: for each tap, step and 8 filters 64 words, the
// two of lane 0, then the two of lane 1, …
__device__ void copy_weights(Real* fragments, const float* w, int f0, int F) {
    for (int word = threadIdx.x; word < WEIGHTS; word += THREADS) {
        const int lane = word / 2 % 32, group = word / 64;
        const int n = group % EIGHTS, s = group / EIGHTS % STEPS, tap = group / EIGHTS / STEPS;
        const int f = f0 + 8 * n + lane / 4, first = (STEP * s + lane % 4 * 2 + word % 2) * PER_WORD;
#pragma unroll
        for (int u = 0; u < PER_WORD; ++u)
            fragments[word * PER_WORD + u] = as_factor(Real(weight(w, tap / TAPS_W, tap % TAPS_W, first + u, f, F)));
    }
}

// sums += the products of the tile under the ROWS rows of this warp with all weights
__device__ void convolve_tile(float (&sums)[ROWS][EIGHTS][4], const Real* tile, const Real* weights) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const int first = warp / ACROSS * ROWS * COLUMNS + warp % ACROSS * 16 + lane / 4;  // the pixel of row g of A
    const unsigned* words = reinterpret_cast<const unsigned*>(tile) + first * PITCH + lane % 4 * 2;
    const uint2* fragments = reinterpret_cast<const uint2*>(weights) + lane;
#pragma unroll 1
    for (int l = 0; l < TAPS_W; ++l) {
#pragma unroll 1
        for (int s = 0; s < STEPS; ++s) {
            unsigned b[TAPS_H][EIGHTS][2];
#pragma unroll
            for (int k = 0; k < TAPS_H; ++k)
#pragma unroll
                for (int n = 0; n < EIGHTS; ++n) {
                    const uint2 two = fragments[(((k * TAPS_W + l) * STEPS + s) * EIGHTS + n) * WARP];
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
                        for (int n = 0; n < EIGHTS; ++n) multiply(sums[r - k][n], a, b[k][n]);
            }
        }
    }
}

// A number of the result: a sum, with the bias and the ReLU if there are any.
__device__ Real result(float sum, const float* b, bool relu, int f) {
    sum += b ? b[f] : 0;
    return Real(relu && sum < 0 ? 0.0f : sum);
}

// Writes this warp's sums of the tile at (i0, j0), with the bias and the ReLU if there are any, to an image of H x W
// pixels, to its channels from f0 on. Each of its arrays has an even number of them.
template <int SECOND>
__device__ void write_tile(Images<Real, SECOND> image, const float (&sums)[ROWS][EIGHTS][4], const float* b, bool relu,
                           int H, int W, int i0, int j0, int f0) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
#pragma unroll
    for (int r = 0; r < ROWS; ++r)
#pragma unroll
        for (int e = 0; e < EIGHTS * 2; ++e) {  // two neighboring filters of a pixel
            const int i = i0 + warp / ACROSS * ROWS + r, j = j0 + warp % ACROSS * 16 + lane / 4 + e % 2 * 8;
            const int f = f0 + e / 2 * 8 + lane % 4 * 2;
            if (i >= H || j >= W || f >= image.channels) continue;
            Neighbors<2> two;
#pragma unroll
            for (int u = 0; u < 2; ++u) two.at[u] = result(sums[r][e / 2][e % 2 * 2 + u], b, relu, f + u);
            *reinterpret_cast<Neighbors<2>*>(image.at((long long)i * W + j, f)) = two;
        }
}
