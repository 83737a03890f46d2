// The optimizers' updates (optim.py has the equations): one launch changes all parameters. blockIdx.y is the parameter,
// and `tensors` holds where each one, its gradient and its memories lie, and how long they are.

struct Tensors { Real* w[96]; const Real* g[96]; Real* m[96]; Real* v[96]; long long size[96]; };  // arguments end at 4 KB

#define FOR_EACH_ELEMENT                                                                                      \
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < tensors.size[blockIdx.y];        \
         i += (long long)gridDim.x * blockDim.x)

extern "C" __global__ void sgd(Tensors tensors, Real lr) {
    Real* w = tensors.w[blockIdx.y];
    const Real* g = tensors.g[blockIdx.y];
    FOR_EACH_ELEMENT w[i] -= lr * g[i];
}

extern "C" __global__ void momentum(Tensors tensors, Real lr, Real mu) {
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
