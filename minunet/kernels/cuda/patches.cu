// P(x) as a matrix in memory, for layers with so many channels that a matrix product by cuBLAS, the GPU's own library,
// makes up for writing it; and its transpose. A block takes one row of windows, or of pixels, after another; its
// threads go along the row.

// P[r,j, (k,l,c)] = x[n, i·SH + k - top, j·SW + l - left, c] for the rows of windows r = (n,i), starting at first_row.
// The last BESIDE channels are those of `beside`.
extern "C" __global__ void patches(const Real* __restrict__ x, const Real* __restrict__ beside, Real* __restrict__ P,
                                   long long first_row, long long rows, Geometry g) {
    const Images<const Real, BESIDE> images = {x, beside, g.C};
    const int K = g.KH * g.KW * g.C, vectors = g.OW * (K / VECTOR);
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = (first_row + row) / g.OH;
        const int i = (first_row + row) % g.OH;
        Real* out = P + row * g.OW * K;
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < vectors; e += gridDim.y * blockDim.x) {
            const int j = e / (K / VECTOR), tap = e % (K / VECTOR) * VECTOR;
            const int c = tap % g.C, l = tap / g.C % g.KW, k = tap / g.C / g.KW;
            const int p = i * g.SH + k - g.top, q = j * g.SW + l - g.left;
            const bool inside = p >= 0 && p < g.H && q >= 0 && q < g.W;
            *reinterpret_cast<Vector*>(out + (long long)e * VECTOR)
                = inside ? vector_at(images.at((n * g.H + p) * g.W + q, c)) : zeros<Real>();
        }
    }
}

// x[n,p,q,c] = b[c] + Σ of products[n,i,j,k,l,c] over all taps of all windows that lie on (p,q); rows = N·H
extern "C" __global__ void gather(const Sum* __restrict__ products, const Sum* __restrict__ b,
                                  Real* __restrict__ x, long long rows, Geometry g) {
    const int vectors = g.W * (g.C / VECTOR);
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = row / g.H;
        const int p = row % g.H;
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < vectors; e += gridDim.y * blockDim.x) {
            const int q = e / (g.C / VECTOR), c = e % (g.C / VECTOR) * VECTOR;
            Numbers<Sum, VECTOR> sum = b ? vector_at(b + c) : zeros<Sum>();
            for (int k = 0; k < g.KH; ++k) {
                const int from_top = p + g.top - k, i = from_top / g.SH;
                if (from_top < 0 || i * g.SH != from_top || i >= g.OH) continue;
                for (int l = 0; l < g.KW; ++l) {
                    const int from_left = q + g.left - l, j = from_left / g.SW;
                    if (from_left < 0 || j * g.SW != from_left || j >= g.OW) continue;
                    const long long window = (n * g.OH + i) * g.OW + j;
                    const Numbers<Sum, VECTOR> product = vector_at(products + ((window * g.KH + k) * g.KW + l) * g.C + c);
                    for (int u = 0; u < VECTOR; ++u) sum.at[u] += product.at[u];
                }
            }
            *reinterpret_cast<Vector*>(x + ((row * g.W) + q) * g.C + c) = rounded(sum);
        }
    }
}
