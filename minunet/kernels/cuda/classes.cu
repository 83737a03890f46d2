// Many classes: softmax and what is computed from it. A pixel has CLASSES numbers side by side, and one thread keeps
// them all: in registers, since CLASSES is a constant and the loops are unrolled (beyond 64 classes in its own memory).
// The true class of a pixel is a Mask, an integer; IGNORED means that the pixel does not count.

#define EACH_PIXEL(i, pixels) \
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < pixels; i += (long long)gridDim.x * blockDim.x

// e[k] = e^(z_k - m), m the largest of a pixel's z. Returns their sum
__device__ Real exponentials(const Real* __restrict__ z, Real* e, Real& m) {
    Real total = 0;
    m = z[0];
#pragma unroll 64
    for (int k = 0; k < CLASSES; ++k) {
        e[k] = z[k];
        m = e[k] > m ? e[k] : m;
    }
#pragma unroll 64
    for (int k = 0; k < CLASSES; ++k) {
        e[k] = exp(e[k] - m);
        total += e[k];
    }
    return total;
}

// The weight of pixel i times that of its class; 0 if it is ignored, NaN if its class does not exist: a kernel cannot
// raise, but a loss of NaN is seen
__device__ Real pixel_weight(long long i, int truth, const Real* w, const Real* class_weights) {
    if (truth == IGNORED) return 0;
    if (truth < 0 || truth >= CLASSES) return nan("");
    return (w ? w[i] : 1) * (class_weights ? class_weights[truth] : 1);
}

extern "C" __global__ void softmax(const Real* __restrict__ z, Real* __restrict__ p, long long pixels) {
    for (EACH_PIXEL(i, pixels)) {
        Real e[CLASSES], m;
        const Real total = exponentials(z + i * CLASSES, e, m);
#pragma unroll 64
        for (int k = 0; k < CLASSES; ++k) p[i * CLASSES + k] = e[k] / total;
    }
}

// gz = p (gp - Σ p gp)
extern "C" __global__ void softmax_gradient(const Real* __restrict__ gp, const Real* __restrict__ p,
                                            Real* __restrict__ gz, long long pixels) {
    for (EACH_PIXEL(i, pixels)) {
        Real mean = 0;
        for (int k = 0; k < CLASSES; ++k) mean += p[i * CLASSES + k] * gp[i * CLASSES + k];
        for (int k = 0; k < CLASSES; ++k) gz[i * CLASSES + k] = p[i * CLASSES + k] * (gp[i * CLASSES + k] - mean);
    }
}

// With p = softmax(z) and q = p at the true class: l = -(1 - q)^γ ln q,  partial = (Σ w l, Σ w) of each block,
// error = w (p - onehot) ((1 - q)^γ - γ q (1 - q)^(γ-1) ln q)
extern "C" __global__ void softmax_cross_entropy(const Real* __restrict__ z, const Mask* __restrict__ classes,
                                                 const Real* __restrict__ w, const Real* __restrict__ class_weights,
                                                 Real gamma, Real* __restrict__ error, double* __restrict__ partial,
                                                 long long pixels) {
    double loss = 0, weights = 0;
    for (EACH_PIXEL(i, pixels)) {
        const int truth = classes[i];
        const Real weight = pixel_weight(i, truth, w, class_weights);
        Real e[CLASSES], m, of_truth = 0, rest = 0, z_of_truth = 0;
        const Real total = exponentials(z + i * CLASSES, e, m);
#pragma unroll 64
        for (int k = 0; k < CLASSES; ++k) (k == truth ? of_truth : rest) += e[k];
        if (truth >= 0 && truth < CLASSES) z_of_truth = z[i * CLASSES + truth] - m;
        const Real log_q = z_of_truth - log(total);
        rest /= total;  // 1 - q, exact even where q rounds to 1
        Real power = 1, factor = 1;
        if (gamma != 0) {
            const Real ratio = rest == 0 ? -1 : of_truth / total * log_q / rest;  // in the limit of q = 1 it is -1
            power = pow(rest, gamma);
            factor = power * (1 - gamma * ratio);
        }
        loss -= weight * power * log_q;
        weights += weight;
#pragma unroll 64
        for (int k = 0; k < CLASSES; ++k) error[i * CLASSES + k] = (e[k] / total - (k == truth)) * (weight * factor);
    }
    loss = block_sum(loss);
    weights = block_sum(weights);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = loss;
        partial[2 * blockIdx.x + 1] = weights;
    }
}

// out[n,k] = (Σ w p over the pixels of class k, Σ w p, Σ w over the pixels of class k), p at class k of image n. One
// block for each image (along x) and class (along y)
extern "C" __global__ void class_overlap(const Real* __restrict__ p, const Mask* __restrict__ classes,
                                         const Real* __restrict__ w, Real* __restrict__ out, long long pixels) {
    const int k = blockIdx.y;
    double both = 0, predicted = 0, truth = 0;
    for (long long i = blockIdx.x * pixels + threadIdx.x; i < (blockIdx.x + 1) * pixels; i += blockDim.x) {
        const Real weight = pixel_weight(i, classes[i], w, nullptr), probability = weight * p[i * CLASSES + k];
        both += classes[i] == k ? probability : 0;
        predicted += probability;
        truth += classes[i] == k ? weight : 0;
    }
    both = block_sum(both);
    predicted = block_sum(predicted);
    truth = block_sum(truth);
    if (threadIdx.x == 0) {
        Real* sums = out + 3 * ((long long)blockIdx.x * CLASSES + k);
        sums[0] = both;
        sums[1] = predicted;
        sums[2] = truth;
    }
}

// gz = p (gp - Σ p gp) with gp = w (ga + gb onehot), written over p; ga and gb are those of each image and class
extern "C" __global__ void class_overlap_gradient(Real* __restrict__ p, const Mask* __restrict__ classes,
                                                  const Real* __restrict__ w, const Real* __restrict__ ga,
                                                  const Real* __restrict__ gb, long long pixels, long long per_image) {
    for (EACH_PIXEL(i, pixels)) {
        const int truth = classes[i];
        const long long n = i / per_image * CLASSES;
        const Real weight = pixel_weight(i, truth, w, nullptr);
        Real mean = 0;
        for (int k = 0; k < CLASSES; ++k) mean += p[i * CLASSES + k] * (ga[n + k] + (k == truth) * gb[n + k]);
        for (int k = 0; k < CLASSES; ++k)
            p[i * CLASSES + k] *= weight * (ga[n + k] + (k == truth) * gb[n + k] - mean);
    }
}

// counts[t,k] += the number of pixels of class t whose first CLASSES numbers, of `channels`, are largest at k: at the
// first of equals, or at the first NaN.
//
// A block counts in its own memory, then adds that to `counts`. Whole numbers have the same sum in any order, so here,
// and only here, many threads may add into the same place. Where the matrix is too large for a block, each block along
// y counts the pixels of ROWS true classes.
extern "C" __global__ void confusion(const Real* __restrict__ values, const Mask* __restrict__ labels,
                                     unsigned long long* __restrict__ counts, long long pixels, int channels) {
    __shared__ unsigned found[ROWS * CLASSES];
    const int first = blockIdx.y * ROWS;
    for (int place = threadIdx.x; place < ROWS * CLASSES; place += blockDim.x) found[place] = 0;
    __syncthreads();
    for (EACH_PIXEL(i, pixels)) {
        const int truth = labels[i];
        if (truth < first || truth >= first + ROWS || truth >= CLASSES) continue;
        const Real* value = values + i * channels;
        Real largest = value[0];
        int answer = 0;
        for (int k = 1; k < CLASSES && largest == largest; ++k)
            if (!(value[k] <= largest)) {
                largest = value[k];
                answer = k;
            }
        atomicAdd(found + (truth - first) * CLASSES + answer, 1u);
    }
    __syncthreads();
    for (int place = threadIdx.x; place < ROWS * CLASSES; place += blockDim.x)
        if (found[place]) atomicAdd(counts + first * CLASSES + place, (unsigned long long)found[place]);
}
