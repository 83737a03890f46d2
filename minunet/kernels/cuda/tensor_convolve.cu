// Convolution with stride 1 on tensor cores, without P(x). How a tile is convolved is in tiles.cu.

#define TILE_ROWS (WARPS / ACROSS * ROWS)  // of output pixels

#if POOL
// Whether `next` takes the place of `now` as the larger one. As in max_pool (pooling.cu), NaN beats any number.
__device__ bool beats(float next, float now) { return next > now || (next != next && now == now); }

// Writes the largest of each 2x2 numbers of this warp's tile, and which of the four it is, the first of equals:
//
//     0 1     Two rows are in the registers of one thread. The column beside them is that of another one: row g of the
//     2 3     sums belongs to the thread in lane 4g + t (fragments.cu), row g + 1 to the one in lane 4g + t + 4.
//
// H, W, i0 and j0 are those of the pooled image.
__device__ void pool_tile(Real* pooled, unsigned char* argmax, const float (&sums)[ROWS][EIGHTS][4], const float* b,
                          bool relu, int H, int W, int F, int i0, int j0, int f0) {
    const int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
#pragma unroll
    for (int r = 0; r < ROWS; r += 2)
#pragma unroll
        for (int e = 0; e < EIGHTS * 2; ++e) {
            const int i = i0 + (warp / ACROSS * ROWS + r) / 2, j = j0 + (warp % ACROSS * 16 + lane / 4 + e % 2 * 8) / 2;
            const int f = f0 + e / 2 * 8 + lane % 4 * 2;
            Neighbors<2> two;
            Neighbors<2, unsigned char> index;
#pragma unroll
            for (int u = 0; u < 2; ++u) {
                const int at = e % 2 * 2 + u, filter = min(f + u, F - 1);
                const Real upper = result(sums[r][e / 2][at], b, relu, filter);
                const Real lower = result(sums[r + 1][e / 2][at], b, relu, filter);
                const int down = beats(lower, upper), down_beside = __shfl_xor_sync(~0u, down, 4);
                const float here = down ? lower : upper, beside = __shfl_xor_sync(~0u, here, 4);
                const bool right = beats(beside, here) || (!beats(here, beside) && down_beside < down);
                two.at[u] = Real(right ? beside : here);
                index.at[u] = right ? 2 * down_beside + 1 : 2 * down;
            }
            if (lane / 4 % 2 || i >= H || j >= W || f >= F) continue;  // the thread on the left writes
            const long long place = ((long long)i * W + j) * F + f;
            *reinterpret_cast<Neighbors<2>*>(pooled + place) = two;
            *reinterpret_cast<Neighbors<2, unsigned char>*>(argmax + place) = index;
        }
}
#endif

// y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c x[n, i + k - top, j + l - left, c] · w[k,l,c,f];  relu: negative → 0
// The last BESIDE channels are those of `beside`, which is read as if it lay beside x. POOL: the largest of each 2x2
// numbers of y, and which of them it is, are written to pooled and argmax; ROWS is even then.
// grid: x over the tiles, tiles_of_block to a block, y over groups of EIGHTS · 8 filters. F is even.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
tensor_convolve(const Real* __restrict__ x, const Real* __restrict__ beside, const float* __restrict__ w,
                const float* __restrict__ b, Real* __restrict__ y, Real* __restrict__ pooled,
                unsigned char* __restrict__ argmax, int tiles, int tiles_of_block, Geometry g, int relu) {
    extern __shared__ uint4 shared[];
    constexpr int TILE_NUMBERS = (TILE_ROWS + TAPS_H - 1) * COLUMNS * PITCH * PER_WORD;
    using Copy = TileCopy<TILE_ROWS + TAPS_H - 1, COLUMNS, STEPS * STEP, PITCH, VECTOR>;
    Real* weights = reinterpret_cast<Real*>(shared);
    const Images<const Real, BESIDE> all_of_x = {x, beside, CHANNELS};
    const Images<Real, 0> all_of_y = {y, nullptr, g.F};
    const int f0 = blockIdx.y * EIGHTS * 8;
    const int across = (g.OW + ACROSS * 16 - 1) / (ACROSS * 16), down = (g.OH + TILE_ROWS - 1) / TILE_ROWS;
    const int first = blockIdx.x * tiles_of_block, last = min(first + tiles_of_block, tiles);
    // Of a tile: its image, its first output pixel, and where its pixels of x lie in shared memory
    const auto image = [&](int number) -> long long { return number / (across * down); };
    const auto row = [&](int number) { return number / across % down * TILE_ROWS; };
    const auto column = [&](int number) { return number % across * ACROSS * 16; };
    const auto buffer = [&](int number) { return weights + WEIGHTS * PER_WORD + number % BUFFERS * TILE_NUMBERS; };
    const auto start = [&](int number) {
        Copy::start(buffer(number), all_of_x.from(image(number) * g.H * g.W), g.H, g.W, 0, CHANNELS,
                    row(number) - g.top, column(number) - g.left);
    };
    if (BUFFERS == 2) start(first);
    copy_weights(weights, w, f0, g.F);
    for (int number = first; number < last; ++number) {
        if (BUFFERS == 1) {
            __syncthreads();  // nobody reads the tile before any more
            start(number);
        }
        Copy::finish(buffer(number));
        __syncthreads();  // the tile is whole, and nobody reads the other buffer any more
        if (BUFFERS == 2 && number + 1 < last) start(number + 1);
        const int i0 = row(number), j0 = column(number);
        float sums[ROWS][EIGHTS][4] = {};
        convolve_tile(sums, buffer(number), weights);
        write_tile(all_of_y.from(image(number) * g.OH * g.OW), sums, b, relu, g.OH, g.OW, i0, j0, f0);
#if POOL
        const int H = g.OH / 2, W = g.OW / 2;
        const long long first_pooled = image(number) * H * W * g.F;
        pool_tile(pooled + first_pooled, argmax + first_pooled, sums, b, relu, H, W, g.F, i0 / 2, j0 / 2, f0);
#endif
    }
}
