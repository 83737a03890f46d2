// Convolution and its transpose without P(x): each thread keeps the sums of PIXELS pixels x TILE channels in registers.
//
// Why so many per thread? A number read from memory should be used often. Here each number of x meets TILE weights and
// each weight meets PIXELS pixels, so PIXELS + TILE reads serve PIXELS · TILE products.
// Why not more? All of them have to fit into the thread's registers. The launch bounds ask the compiler to leave room for
// two blocks on a multiprocessor (three where that is easy, one in float64): while the threads of one wait for memory,
// those of another compute.

// y[n,i,j,f] = b[f] + Σ_k Σ_l Σ_c x[n, i·SH + k - top, j·SW + l - left, c] · w[k,l,c,f];  relu: negative → 0
// grid: for each group of the N·OH·OW pixels of y, TILES blocks in a row, a tile of filters each: they read the same part
// of x at about the same time. VECTOR divides C, TILE · TILES = F. The last BESIDE channels are those of `beside`.
extern "C" __global__ void __launch_bounds__(THREADS, sizeof(Sum) == 8 ? 1 : VECTOR * TILE > 8 ? 2 : 3)
convolve(const Real* __restrict__ x, const Real* __restrict__ beside, const Sum* __restrict__ w,
         const Sum* __restrict__ b, Real* __restrict__ y, long long pixels, Geometry g, int relu) {
    const Images<const Real, BESIDE> images = {x, beside, g.C};
    const int f0 = blockIdx.x % TILES * TILE;
    // a thread's pixels lie blockDim.x apart, so that at each moment neighboring threads read neighboring pixels
    const long long first = (long long)(blockIdx.x / TILES) * blockDim.x * PIXELS + threadIdx.x;
    int image[PIXELS], row[PIXELS], column[PIXELS];
    Sum sum[PIXELS][TILE];
#pragma unroll
    for (int m = 0; m < PIXELS; ++m) {
        const long long pixel = first + m * blockDim.x;
        const unsigned index = pixel % ((long long)g.OH * g.OW);
        image[m] = pixel < pixels ? pixel / ((long long)g.OH * g.OW) : -1;
        row[m] = (int)(index / g.OW) * g.SH - g.top;
        column[m] = (int)(index % g.OW) * g.SW - g.left;
#pragma unroll
        for (int f = 0; f < TILE; ++f) sum[m][f] = b ? b[f0 + f] : 0;
    }
    for (int k = 0; k < g.KH; ++k) {
        for (int l = 0; l < g.KW; ++l) {
            long long under[PIXELS];  // the pixel of x under this tap; -1 outside the image
#pragma unroll
            for (int m = 0; m < PIXELS; ++m) {
                const int p = row[m] + k, q = column[m] + l;
                const bool inside = image[m] >= 0 && p >= 0 && p < g.H && q >= 0 && q < g.W;
                under[m] = inside ? ((long long)image[m] * g.H + p) * g.W + q : -1;
            }
            const Sum* weights = w + (long long)(k * g.KW + l) * g.C * g.F + f0;
            for (int c = 0; c < g.C; c += VECTOR) {
                Vector seen[PIXELS];
#pragma unroll
                for (int m = 0; m < PIXELS; ++m)
                    seen[m] = under[m] >= 0 ? vector_at(images.at(under[m], c)) : zeros<Real>();
#pragma unroll
                for (int u = 0; u < VECTOR; ++u) {
                    const SumTile weight = *reinterpret_cast<const SumTile*>(weights + (long long)(c + u) * g.F);
#pragma unroll
                    for (int m = 0; m < PIXELS; ++m)
#pragma unroll
                        for (int f = 0; f < TILE; ++f) sum[m][f] += (Sum)seen[m].at[u] * weight.at[f];
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < PIXELS; ++m) {
        if (image[m] < 0) continue;
        Tile result;
#pragma unroll
        for (int f = 0; f < TILE; ++f) result.at[f] = (Real)(relu && sum[m][f] < 0 ? 0 : sum[m][f]);
        *reinterpret_cast<Tile*>(y + (first + m * blockDim.x) * g.F + f0) = result;
    }
}

// x[n,p,q,c] = b[c] + Σ over the taps (k,l) through which a window (i,j) sees pixel (p,q) of
//              Σ_f y[n,i,j,f] · w[k,l,c,f]
// Pᵀ by gathering: each pixel asks which windows lie over it: i = (p + top - k) / SH where SH divides that.
// grid: for each group of the N·H·W pixels of x, TILES blocks in a row; VECTOR divides F, TILE · TILES = C
extern "C" __global__ void __launch_bounds__(THREADS, 8 / sizeof(Sum))
convolve_transposed(const Real* __restrict__ y, const Sum* __restrict__ w, const Sum* __restrict__ b,
                    Real* __restrict__ x, long long pixels, Geometry g) {
    const int c0 = blockIdx.x % TILES * TILE;
    const long long first = (long long)(blockIdx.x / TILES) * blockDim.x * PIXELS + threadIdx.x;
    int image[PIXELS], row[PIXELS], column[PIXELS];
    Sum sum[PIXELS][TILE];
#pragma unroll
    for (int m = 0; m < PIXELS; ++m) {
        const long long pixel = first + m * blockDim.x;
        const unsigned index = pixel % ((long long)g.H * g.W);
        image[m] = pixel < pixels ? pixel / ((long long)g.H * g.W) : -1;
        row[m] = (int)(index / g.W) + g.top;
        column[m] = (int)(index % g.W) + g.left;
#pragma unroll
        for (int c = 0; c < TILE; ++c) sum[m][c] = b ? b[c0 + c] : 0;
    }
    for (int k = 0; k < g.KH; ++k) {
        for (int l = 0; l < g.KW; ++l) {
            const Real* above[PIXELS];  // the window that sees this pixel through tap (k, l), if there is one
            bool any = false;
#pragma unroll
            for (int m = 0; m < PIXELS; ++m) {
                const int from_top = row[m] - k, from_left = column[m] - l;
                const int i = from_top / g.SH, j = from_left / g.SW;
                const bool seen = image[m] >= 0 && from_top >= 0 && i * g.SH == from_top && i < g.OH
                                  && from_left >= 0 && j * g.SW == from_left && j < g.OW;
                above[m] = seen ? y + (((long long)image[m] * g.OH + i) * g.OW + j) * g.F : nullptr;
                any |= seen;
            }
            if (!any) continue;
            const Sum* weights = w + ((long long)(k * g.KW + l) * g.C + c0) * g.F;
            for (int f = 0; f < g.F; f += VECTOR) {
                Vector error[PIXELS];
#pragma unroll
                for (int m = 0; m < PIXELS; ++m) error[m] = above[m] ? vector_at(above[m] + f) : zeros<Real>();
#pragma unroll
                for (int c = 0; c < TILE; ++c) {
                    const Numbers<Sum, VECTOR> weight = vector_at(weights + (long long)c * g.F + f);
#pragma unroll
                    for (int u = 0; u < VECTOR; ++u)
#pragma unroll
                        for (int m = 0; m < PIXELS; ++m) sum[m][c] += (Sum)error[m].at[u] * weight.at[u];
                }
            }
        }
    }
#pragma unroll
    for (int m = 0; m < PIXELS; ++m) {
        if (image[m] < 0) continue;
        Tile result;
#pragma unroll
        for (int c = 0; c < TILE; ++c) result.at[c] = (Real)sum[m][c];
        *reinterpret_cast<Tile*>(x + (first + m * blockDim.x) * g.C + c0) = result;
    }
}
