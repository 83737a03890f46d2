// The optimizers' rules (minunet/optim.py has the equations), for up to TENSORS parameters in one launch. blockIdx.y is
// the parameter; `tensors` says where it, its gradient and its optimizer state lie in memory, and how many numbers they
// have.

struct Tensors {
    Real* w[TENSORS];
    const Real* g[TENSORS];
    Real* m[TENSORS];
    Real* v[TENSORS];
    long long size[TENSORS];
};

#define FOR_EACH_ELEMENT                                                                                      \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < tensors.size[blockIdx.y];        \
         i += (long long)gridDim.x * blockDim.x)

extern "C" __global__ void sgd(Tensors tensors, Real lr) {
    Real* w = tensors.w[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT w[i] -= lr * g[i];
}

extern "C" __global__ void sgd_with_momentum(Tensors tensors, Real lr, Real mu) {
    Real *w = tensors.w[blockIdx.y], *m = tensors.m[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        m[i] = mu * m[i] - lr * g[i];
        w[i] += m[i];
    }
}

extern "C" __global__ void rmsprop(Tensors tensors, Real lr, Real rho, Real epsilon) {
    Real *w = tensors.w[blockIdx.y], *v = tensors.m[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        v[i] = rho * v[i] + (1 - rho) * g[i] * g[i];
        w[i] -= lr * g[i] / sqrt(v[i] + epsilon);
    }
}

extern "C" __global__ void adam(Tensors tensors, Real rate, Real beta_1, Real beta_2, Real epsilon) {
    Real *w = tensors.w[blockIdx.y], *m = tensors.m[blockIdx.y], *v = tensors.v[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT {
        m[i] += (1 - beta_1) * (g[i] - m[i]);
        v[i] += (1 - beta_2) * (g[i] * g[i] - v[i]);
        w[i] -= rate * m[i] / (sqrt(v[i]) + epsilon);
    }
}

extern "C" __global__ void decay(Tensors tensors, Real factor) {
    Real* w = tensors.w[blockIdx.y];
    FOR_EACH_ELEMENT w[i] *= factor;
}
