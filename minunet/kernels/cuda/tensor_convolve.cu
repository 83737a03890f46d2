// Convolution with stride 1 on tensor cores, without P(x). How a tile is convolved is in tiles.cu.

#define TILE_ROWS (WARPS / ACROSS * ROWS)  // of output pixels

// y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c x[n, i + k - top, j + l - left, c] · w[k,l,c,f];  relu: negative → 0
// The last BESIDE channels are those of `beside`, which is read as if it lay beside x.
// grid: x over the tiles, tiles_of_block to a block, y over groups of EIGHTS · 8 filters. F is even.
extern "C" __global__ void __launch_bounds__(THREADS, 4)
tensor_convolve(const Real* __restrict__ x, const Real* __restrict__ beside, const float* __restrict__ w,
                const float* __restrict__ b, Real* __restrict__ y, int tiles, int tiles_of_block, Geometry g,
                int relu) {
    extern __shared__ uint4 shared[];
    Real* weights = reinterpret_cast<Real*>(shared);
    Real* tile = weights + WEIGHTS * PER_WORD;
    const Images<const Real, BESIDE> all_of_x = {x, beside, CHANNELS};
    const Images<Real, 0> all_of_y = {y, nullptr, g.F};
    const int f0 = blockIdx.y * EIGHTS * 8;
    const int across = (g.OW + ACROSS * 16 - 1) / (ACROSS * 16), down = (g.OH + TILE_ROWS - 1) / TILE_ROWS;
    copy_weights(weights, w, f0, g.F);
    const int first = blockIdx.x * tiles_of_block;
    for (int number = first; number < min(first + tiles_of_block, tiles); ++number) {
        const long long n = number / (across * down);
        const int i0 = number / across % down * TILE_ROWS, j0 = number % across * ACROSS * 16;
        __syncthreads();  // nobody reads the tile before any more
        copy_tile<TILE_ROWS + TAPS_H - 1, COLUMNS, STEPS * STEP, PITCH, VECTOR, BESIDE>(
            tile, all_of_x.from(n * g.H * g.W), nullptr, g.H, g.W, 0, CHANNELS, i0 - g.top, j0 - g.left,
            [](int, int, const auto&) {});
        __syncthreads();
        float sums[ROWS][EIGHTS][4] = {};
        convolve_tile(sums, tile, weights);
        write_tile(all_of_y.from(n * g.OH * g.OW), sums, b, relu, g.OH, g.OW, i0, j0, f0);
    }
}
