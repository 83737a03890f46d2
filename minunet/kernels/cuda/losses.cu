// The losses' sums over all pixels, and the counts of the scores.

// l = max(z, 0) - t z + ln(1 + e^(-|z|)),  partial = (Σ w l, Σ w) of each block,  error = w (σ(z) - t)
extern "C" __global__ void cross_entropy(const Real* __restrict__ z, const Real* __restrict__ t,
                                         const Real* __restrict__ w, Real* __restrict__ error,
                                         double* __restrict__ partial, long long size) {
    const long long step = (long long)gridDim.x * blockDim.x;
    double loss = 0, total = 0;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < size; i += step) {
        const Real weight = w ? w[i] : 1, e = exp(-abs(z[i]));
        const Real probability = z[i] >= 0 ? 1 / (1 + e) : e / (1 + e);
        loss += weight * (max(z[i], (Real)0) - t[i] * z[i] + log1p(e));
        total += weight;
        error[i] = weight * (probability - t[i]);
    }
    loss = block_sum(loss);
    total = block_sum(total);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = loss;
        partial[2 * blockIdx.x + 1] = total;
    }
}

// out = (Σ w l / Σ w, 1 / Σ w) from the blocks' sums; (0, 0) if all weights are 0. One block.
extern "C" __global__ void weighted_mean(const double* __restrict__ partial, Real* __restrict__ out, int blocks) {
    double loss = 0, total = 0;
    for (int block = threadIdx.x; block < blocks; block += blockDim.x) {
        loss += partial[2 * block];
        total += partial[2 * block + 1];
    }
    loss = block_sum(loss);
    total = block_sum(total);
    if (threadIdx.x == 0) {
        out[0] = total == 0 ? 0 : loss / total;
        out[1] = total == 0 ? 0 : 1 / total;
    }
}

// out[n] = (Σ w p t, Σ w p, Σ w t) over image n, one block per image
extern "C" __global__ void overlap(const Real* __restrict__ p, const Real* __restrict__ t, const Real* __restrict__ w,
                                   Real* __restrict__ out, long long pixels) {
    double both = 0, predicted = 0, truth = 0;
    for (long long i = blockIdx.x * pixels + threadIdx.x; i < (blockIdx.x + 1) * pixels; i += blockDim.x) {
        const Real weight = w ? w[i] : 1;
        both += weight * p[i] * t[i];
        predicted += weight * p[i];
        truth += weight * t[i];
    }
    both = block_sum(both);
    predicted = block_sum(predicted);
    truth = block_sum(truth);
    if (threadIdx.x == 0) {
        out[3 * blockIdx.x] = both;
        out[3 * blockIdx.x + 1] = predicted;
        out[3 * blockIdx.x + 2] = truth;
    }
}

// counts[n] = the numbers of pixels (predicted and true, predicted, true, valid, known) in image n, one block per
// image. Valid are those whose mask is not `ignored`, known those whose mask is 0 or 1
extern "C" __global__ void mask_counts(const Real* __restrict__ values, const Mask* __restrict__ masks,
                                       long long* __restrict__ counts, long long pixels, Real threshold, int ignored) {
    long long count[5] = {};
    for (long long i = blockIdx.x * pixels + threadIdx.x; i < (blockIdx.x + 1) * pixels; i += blockDim.x) {
        const bool valid = masks[i] != ignored, truth = masks[i] == 1, predicted = valid && values[i] > threshold;
        count[0] += predicted && truth;
        count[1] += predicted;
        count[2] += truth;
        count[3] += valid;
        count[4] += truth || masks[i] == 0;
    }
    for (int k = 0; k < 5; ++k) {
        const long long total = block_sum(count[k]);
        if (threadIdx.x == 0) counts[5 * blockIdx.x + k] = total;
    }
}
