// Batch normalization (minunet/ops/batch_norm.py has the equations). Pixels are rows of F numbers; μ, r, γ, β are (F).

enum { MEAN, VARIANCE, GRADIENTS };  // the choices for SUM

// gz: what the ReLU, if there is one, lets through of gy; d is x - μ
__device__ Sum through_relu(Sum gy, Sum d, Sum scale, Sum beta, int relu) {
    return relu && !(d * scale + beta > 0) ? 0 : gy;
}

// For each channel f, over all rows:
//     MEAN       out[f] = Σ x / rows
//     VARIANCE   out[f] = Σ (x - μ)² / rows,  out[F + f] = 1 / √(out[f] + ε)
//     GRADIENTS  out[f] = Σ gz,  out[F + f] = r Σ gz (x - μ)
// The rows are divided among the blocks as in sum_over_rows (sums.cu); partial is (2, blocks, F).
extern "C" __global__ void channel_sums(const Real* __restrict__ x, const Real* __restrict__ gy,
                                        const Sum* __restrict__ mean, const Sum* __restrict__ r,
                                        const Sum* __restrict__ gamma, const Sum* __restrict__ beta,
                                        Sum* __restrict__ out, Sum* partial, unsigned* __restrict__ arrived,
                                        Sum epsilon, long long rows, int F, int columns, int relu) {
    const int lanes = blockDim.x / columns, lane = threadIdx.x / columns;
    const int f = blockIdx.y * columns + threadIdx.x % columns;
    const bool works = lane < lanes && f < F;
    Sum one = 0, other = 0;
    if (works) {
        const Sum mu = SUM == MEAN ? 0 : mean[f];
        const Sum scale = SUM == GRADIENTS ? gamma[f] * r[f] : 0, shift = SUM == GRADIENTS ? beta[f] : 0;
#pragma unroll 4
        for (long long row = (long long)blockIdx.x * lanes + lane; row < rows; row += (long long)gridDim.x * lanes) {
            const Sum d = (Sum)x[row * F + f] - mu;
            if (SUM == MEAN) one += d;
            if (SUM == VARIANCE) one += d * d;
            if (SUM == GRADIENTS) {
                const Sum gz = through_relu((Sum)gy[row * F + f], d, scale, shift, relu);
                one += gz;
                other += gz * d;
            }
        }
    }
    one = sum_of_lanes(one, columns);
    other = sum_of_lanes(other, columns);
    Sum *ones = partial, *others = partial + (long long)gridDim.x * F;
    if (works && lane == 0) {
        ones[(long long)blockIdx.x * F + f] = one;
        others[(long long)blockIdx.x * F + f] = other;
    }
    if (!is_last_block(arrived)) return;
    one = other = 0;
    if (works)
        for (long long block = lane; block < gridDim.x; block += lanes) {
            one += ((const volatile Sum*)ones)[block * F + f];
            other += ((const volatile Sum*)others)[block * F + f];
        }
    one = sum_of_lanes(one, columns);
    other = sum_of_lanes(other, columns);
    if (!works || lane > 0) return;
    out[f] = SUM == GRADIENTS ? one : one / rows;
    if (SUM == VARIANCE) out[F + f] = 1 / sqrt(one / rows + epsilon);
    if (SUM == GRADIENTS) out[F + f] = other * r[f];
}

// A thread's numbers lie `step` apart, so its channel f moves on by step modulo F: no division per number.
#define FOR_EACH_NUMBER                                                                                              \
    const long long step = (long long)gridDim.x * blockDim.x;                                                        \
    long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x;                                                  \
    const int shift = step % F;                                                                                      \
    for (int f = e % F; e < size; e += step, f = f + shift < F ? f + shift : f + shift - F)

// y = γ (x - μ) r + β, negative → 0 if relu
extern "C" __global__ void normalize(const Real* __restrict__ x, const Sum* __restrict__ mean,
                                     const Sum* __restrict__ r, const Sum* __restrict__ gamma,
                                     const Sum* __restrict__ beta, Real* __restrict__ y, long long size, int F,
                                     int relu) {
    FOR_EACH_NUMBER {
        const Sum z = ((Sum)x[e] - mean[f]) * (gamma[f] * r[f]) + beta[f];
        y[e] = (Real)(relu && z <= 0 ? 0 : z);  // NaN stays NaN
    }
}

// gx = γ r (gz - (gβ + x̂ gγ) / M); one_over_M is 0 where μ and v are constants
extern "C" __global__ void normalize_gradient(const Real* __restrict__ gy, const Real* __restrict__ x,
                                              const Sum* __restrict__ mean, const Sum* __restrict__ r,
                                              const Sum* __restrict__ gamma, const Sum* __restrict__ beta,
                                              const Sum* __restrict__ gbeta, const Sum* __restrict__ ggamma,
                                              Real* __restrict__ gx, Sum one_over_M, long long size, int F, int relu) {
    FOR_EACH_NUMBER {
        const Sum d = (Sum)x[e] - mean[f], scale = gamma[f] * r[f];
        const Sum gz = through_relu((Sum)gy[e], d, scale, beta[f], relu);
        gx[e] = (Real)(scale * (gz - one_over_M * (gbeta[f] + d * r[f] * ggamma[f])));
    }
}

// average ← momentum · average + (1 - momentum) · value, for two averages, which are always float
extern "C" __global__ void update_running_average(float* a, float* b, const Sum* u, const Sum* v, Sum momentum,
                                                  int F) {
    for (int f = blockIdx.x * blockDim.x + threadIdx.x; f < F; f += gridDim.x * blockDim.x) {
        a[f] = momentum * a[f] + (1 - momentum) * u[f];
        b[f] = momentum * b[f] + (1 - momentum) * v[f];
    }
}
