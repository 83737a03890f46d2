// Max pooling: each thread takes VECTOR neighboring channels of a pixel of y (forward) or of x (backward), each block
// one row of pixels after another. An Index, one byte where that is enough, says which tap of a window was the largest.

struct alignas(sizeof(Index) * VECTOR) Indices { Index at[VECTOR]; };

// y[n,i,j,c] = the largest x in the window, argmax = its index l + KW·k there, the first of equals. Padding counts as
// -∞. As in NumPy, NaN beats any number, so that it is not hidden.
extern "C" __global__ void max_pool(const Real* __restrict__ x, Real* __restrict__ y, Index* __restrict__ argmax,
                                    long long rows, Geometry g) {
    const int vectors = g.C / VECTOR;
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = row / g.OH;
        const int i = row % g.OH;
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < g.OW * vectors; e += gridDim.y * blockDim.x) {
            const int j = e / vectors, c = e % vectors * VECTOR;
            Vector largest;
            Indices index;
            bool first = true;
            for (int k = 0; k < g.KH; ++k) {
                for (int l = 0; l < g.KW; ++l) {
                    const int p = i * g.SH + k - g.top, q = j * g.SW + l - g.left;
                    if (p < 0 || p >= g.H || q < 0 || q >= g.W) continue;
                    const Vector value = vector_at(x + ((n * g.H + p) * g.W + q) * g.C + c);
#pragma unroll
                    for (int u = 0; u < VECTOR; ++u) {
                        const Sum next = (Sum)value.at[u], now = (Sum)largest.at[u];
                        if (!first && !(next > now || (next != next && now == now))) continue;
                        largest.at[u] = value.at[u];
                        index.at[u] = k * g.KW + l;
                    }
                    first = false;
                }
            }
            *reinterpret_cast<Vector*>(y + (row * g.OW + j) * g.C + c) = largest;
            *reinterpret_cast<Indices*>(argmax + (row * g.OW + j) * g.C + c) = index;
        }
    }
}

// gx[n,p,q,c] = Σ of gy[n,i,j,c] over the windows (i,j) whose maximum was pixel (p,q): a pixel asks all windows over it.
// plus: null, or an image like gx that is added.
extern "C" __global__ void max_pool_gradient(const Real* __restrict__ gy, const Index* __restrict__ argmax,
                                             const Real* __restrict__ plus, Real* __restrict__ gx, long long rows,
                                             Geometry g) {
    const int vectors = g.C / VECTOR;
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = row / g.H;
        const int p = row % g.H;
        const int last_i = min((p + g.top) / g.SH, g.OH - 1);
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < g.W * vectors; e += gridDim.y * blockDim.x) {
            const int q = e / vectors, c = e % vectors * VECTOR;
            const int last_j = min((q + g.left) / g.SW, g.OW - 1);
            Numbers<Sum, VECTOR> sum = zeros<Sum>();
            for (int i = last_i; i >= 0 && p + g.top - i * g.SH < g.KH; --i) {
                for (int j = last_j; j >= 0 && q + g.left - j * g.SW < g.KW; --j) {
                    const long long window = ((n * g.OH + i) * g.OW + j) * g.C + c;
                    const int index = (p + g.top - i * g.SH) * g.KW + q + g.left - j * g.SW;
                    const Indices largest = *reinterpret_cast<const Indices*>(argmax + window);
                    const Vector error = vector_at(gy + window);
#pragma unroll
                    for (int u = 0; u < VECTOR; ++u) sum.at[u] += largest.at[u] == index ? (Sum)error.at[u] : 0;
                }
            }
            const long long here = (row * g.W + q) * g.C + c;
            if (plus) {
                const Vector more = vector_at(plus + here);
#pragma unroll
                for (int u = 0; u < VECTOR; ++u) sum.at[u] += (Sum)more.at[u];
            }
            *reinterpret_cast<Vector*>(gx + here) = rounded(sum);
        }
    }
}
