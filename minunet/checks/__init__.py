"""Does it compute what it should, and how fast?

gradient_cases/  every hand-written derivative, as cases for gradcheck
selftest.py      every operation on a device, compared with other kernels
speed.py         a training step compared with the most that the device could do
"""
