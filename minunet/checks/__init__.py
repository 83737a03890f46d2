"""Does it compute what it should, and how fast?

gradient_cases/     every hand-written derivative, as cases for gradcheck
gradient_report.py  which of them is wrong, and where; likeness.py: what kind of wrong; source.py: in which lines
selftest.py         every operation on a device, compared with other kernels
speed.py            a training step compared with the most that the device could do
"""
