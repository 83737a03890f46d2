// Max-pooling: one thread, one number of y (forward) or of x (backward). A block takes row after row.

// y[n,i,j,c] = the largest x in the window, winner = its place l + KW·k, the first of equals; a border counts as -∞.
// As in NumPy a NaN wins over any number, so that it is not hidden.
extern "C" __global__ void max_pool(const Real* __restrict__ x, Real* __restrict__ y, Place* __restrict__ winner,
                                    long long rows, Geometry g) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = row / g.OH;
        const int i = row % g.OH;
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < g.OW * g.C; e += gridDim.y * blockDim.x) {
            const int j = e / g.C, c = e % g.C;
            Real largest = 0;
            int place = -1;
            for (int k = 0; k < g.KH; ++k) {
                for (int l = 0; l < g.KW; ++l) {
                    const int p = i * g.SH + k - g.top, q = j * g.SW + l - g.left;
                    if (p < 0 || p >= g.H || q < 0 || q >= g.W) continue;
                    const Real value = x[((n * g.H + p) * g.W + q) * g.C + c];
                    if (place >= 0 && !(value > largest || (value != value && largest == largest))) continue;
                    largest = value;
                    place = k * g.KW + l;
                }
            }
            y[row * g.OW * g.C + e] = largest;
            winner[row * g.OW * g.C + e] = place;
        }
    }
}

// gx[n,p,q,c] = Σ of gy[n,i,j,c] over the windows (i,j) that pixel (p,q) has won: each pixel looks at all windows over it
extern "C" __global__ void max_pool_gradient(const Real* __restrict__ gy, const Place* __restrict__ winner,
                                             Real* __restrict__ gx, long long rows, Geometry g) {
    for (long long row = blockIdx.x; row < rows; row += gridDim.x) {
        const long long n = row / g.H;
        const int p = row % g.H;
        for (int e = blockIdx.y * blockDim.x + threadIdx.x; e < g.W * g.C; e += gridDim.y * blockDim.x) {
            const int q = e / g.C, c = e % g.C;
            Real sum = 0;
            const int last_i = min((p + g.top) / g.SH, g.OH - 1), last_j = min((q + g.left) / g.SW, g.OW - 1);
            for (int i = last_i; i >= 0 && p + g.top - i * g.SH < g.KH; --i) {
                for (int j = last_j; j >= 0 && q + g.left - j * g.SW < g.KW; --j) {
                    const long long window = ((n * g.OH + i) * g.OW + j) * g.C + c;
                    if (winner[window] == (p + g.top - i * g.SH) * g.KW + q + g.left - j * g.SW) sum += gy[window];
                }
            }
            gx[row * g.W * g.C + e] = sum;
        }
    }
}
