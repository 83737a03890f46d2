// Work on each number by itself: a thread takes one number, then the one that lies a whole grid further, and so on.

// y ← y + b, negative → 0 if relu, in place; y is (rows, F)
extern "C" __global__ void add_bias(Real* __restrict__ y, const Sum* __restrict__ b, long long size, int F, int relu) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < size; e += step) {
        const Sum value = (Sum)y[e] + (b ? b[e % F] : 0);
        y[e] = (Real)(relu && value < 0 ? 0 : value);
    }
}

// gz = gy where y > 0, else 0
extern "C" __global__ void relu_gradient(const Real* __restrict__ gy, const Real* __restrict__ y, Real* __restrict__ gz,
                                         long long size) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < size; e += step)
        gz[e] = (Sum)y[e] > 0 ? gy[e] : (Real)0;
}

// y[r] = a[r] and b[r] side by side: a is (rows, A), b is (rows, B), y is (rows, A + B)
extern "C" __global__ void concatenate(const Real* __restrict__ a, const Real* __restrict__ b, Real* __restrict__ y,
                                       long long size, int A, int B) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < size; e += step) {
        const long long row = e / (A + B);
        const int c = e % (A + B);
        y[e] = c < A ? a[row * A + c] : b[row * B + c - A];
    }
}

// The reverse: y is split into a and b
extern "C" __global__ void split(const Real* __restrict__ y, Real* __restrict__ a, Real* __restrict__ b, long long size,
                                 int A, int B) {
    const long long step = (long long)gridDim.x * blockDim.x;
    for (long long e = (long long)blockIdx.x * blockDim.x + threadIdx.x; e < size; e += step) {
        const long long row = e / (A + B);
        const int c = e % (A + B);
        (c < A ? a[row * A + c] : b[row * B + c - A]) = y[e];
    }
}

// From bytes to floats: x = images / 255;  t = 1 where the mask is 1, weights = 0 where it is `ignored`
extern "C" __global__ void to_float(const unsigned char* __restrict__ images, const unsigned char* __restrict__ masks,
                                    Real* __restrict__ x, Real* __restrict__ t, Real* __restrict__ weights,
                                    long long image_size, long long mask_size, int ignored) {
    const long long step = (long long)gridDim.x * blockDim.x, start = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (long long e = start; e < image_size; e += step) x[e] = (Real)(images[e] / (Sum)255);
    for (long long e = start; e < mask_size; e += step) {
        t[e] = (Real)(Sum)(masks[e] == 1);
        weights[e] = (Real)(Sum)(masks[e] != ignored);
    }
}
