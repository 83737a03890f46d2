"""Mistakes that type checkers find before anything runs: they report exactly the lines marked as wrong."""

import numpy as np

import minunet
from minunet import Tensor, UNet, metrics, nn, ops, optim

model = UNet(depth=2, width=4)
x = Tensor(np.zeros((1, 8, 8, 3), np.float32))
t = np.zeros((1, 8, 8, 1), np.float32)

optim.RMSprop(model.parameters(), lr="0.001")  # wrong: the learning rate is a number
optim.Adam(model, lr=1e-3)  # wrong: an optimizer takes the parameters, not the model
UNet(depht=3)  # wrong: a misspelled argument
UNet(depth="3")  # wrong: the depth is an int
y = model(x)
print(y.grad_)  # wrong: a misspelled attribute
print(y + "1")  # wrong: a tensor and a string
ops.conv2d(x, np.ones((3, 3, 3, 2), np.float32), padding=1.5)  # wrong: half a pixel of padding
ops.conv2d(x, np.ones((3, 3, 3, 2), np.float32), padding="full")  # wrong: there is no such padding
ops.concatenate(x, x)  # wrong: the tensors go into a list
nn.Conv2D(3, 8, 3, activation="tanh")  # wrong: there is no such activation
loss = ops.binary_cross_entropy_with_logits(model.logits(x), t)
loss.backward("x")  # wrong: the upstream gradient is an array
print(loss.grad.sum())  # wrong: grad may be None
print("IoU: " + metrics.iou(y, t))  # wrong: a score is a float
model.predict(t).backward()  # wrong: predict returns a NumPy array
minunet.save(model, "weights.npz")  # wrong: the path comes first
model.to(0)  # wrong: a device is named by a string
