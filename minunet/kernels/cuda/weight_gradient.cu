// gw[k,l,c,f] = Σ_n Σ_i Σ_j x[n, i·SH + k - top, j·SW + l - left, c] · gy[n,i,j,f], without P(x).
//
// Few outputs, each a sum over millions of pixels: so the pixels are divided up. A block takes every gridDim.x-th row
// of windows. Each of its threads has one tap (k, l), VECTOR channels and TILE filters, a "piece", and adds up their
// products in registers; where there are more threads than pieces, several ("lanes") divide a row's pixels among them.
// At the end the lanes' sums are added, and the block writes them: partial[block] is a whole gw. sum_rows (sums.cu)
// adds those.
// grid: x over the partial sums, y over groups of `pieces_per_block` pieces. The launch bounds ask the compiler to
// leave room for three blocks on a multiprocessor at a time: while one waits for memory, another computes. The last
// BESIDE channels are those of `beside`.
extern "C" __global__ void __launch_bounds__(THREADS, 3)
weight_gradient(const Real* __restrict__ x, const Real* __restrict__ beside, const Real* __restrict__ gy,
                Sum* __restrict__ partial, long long rows, int pieces, int pieces_per_block, Geometry g) {
    const int lanes = blockDim.x / pieces_per_block, lane = threadIdx.x / pieces_per_block;
    const int piece = blockIdx.y * pieces_per_block + threadIdx.x % pieces_per_block;
    const bool works = lane < lanes && piece < pieces;
    const int f0 = piece % (g.F / TILE) * TILE;
    const int c0 = piece / (g.F / TILE) % (g.C / VECTOR) * VECTOR;
    const int tap = piece / (g.F / TILE) / (g.C / VECTOR), k = tap / g.KW, l = tap % g.KW;
    const Images<const Real, BESIDE> images = {x, beside, g.C};
    const int apart = images.apart(c0);

    // from one of a lane's windows to the next; a step that 32 bits do not hold would lead out of the row
    const unsigned x_step = (unsigned)lanes * g.SW * apart, gy_step = lanes * g.F;
    Sum sum[VECTOR][TILE] = {};
    for (long long r = blockIdx.x; works && r < rows; r += gridDim.x) {
        const long long n = r / g.OH;
        const int p = (int)(r % g.OH) * g.SH + k - g.top;
        if (p < 0 || p >= g.H) continue;
        const Real* x_row = images.at((n * g.H + p) * g.W, c0);
        const Real* gy_row = gy + r * g.OW * g.F + f0;
        int q = lane * g.SW + l - g.left;
        const Real* under = x_row + (long long)q * apart;
        const Real* error_at = gy_row + (long long)lane * g.F;
#pragma unroll 4
        for (int j = lane; j < g.OW; j += lanes) {
            const bool inside = q >= 0 && q < g.W;
            const Vector seen = inside ? vector_at(under) : zeros<Real>();
            const Tile error = *reinterpret_cast<const Tile*>(error_at);
            q += lanes * g.SW;
            under += x_step;
            error_at += gy_step;
#pragma unroll
            for (int u = 0; u < VECTOR; ++u)
#pragma unroll
                for (int f = 0; f < TILE; ++f) sum[u][f] += (Sum)seen.at[u] * (Sum)error.at[f];
        }
    }

    Sum* out = partial + (long long)blockIdx.x * g.KH * g.KW * g.C * g.F;
#pragma unroll  // with fixed indices `sum` stays in registers
    for (int u = 0; u < VECTOR; ++u) {
#pragma unroll
        for (int f = 0; f < TILE; ++f) {
            const Sum total = sum_of_lanes(sum[u][f], pieces_per_block);
            if (works && lane == 0) out[((long long)tap * g.C + c0 + u) * g.F + f0 + f] = total;
        }
    }
}
