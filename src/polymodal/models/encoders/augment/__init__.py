"""Data augmentation of an encoder's tensors.

Functions of tensors of several items; each item's change is drawn independently, by torch's generator on
the tensors' device. A resumed run, whose generators are restored, repeats it, with any number of workers.
"""
