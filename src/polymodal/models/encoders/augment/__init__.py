"""What training does to an encoder's tensors, so that it learns from more than was recorded.

Functions of tensors of several items; each item's change is drawn for itself, by torch's generator on the
tensors' device. A resumed run, whose generators are put back, repeats it, however many workers read the rows.
"""
