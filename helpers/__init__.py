"""The small package that the course's pages import. In reading order:

data             MNIST: find it, check it, load it, split it, serve it in batches
augmentation     a whole batch of images changed at random
models           the six published networks
layer_windows    which window each layer of a network moves over its input
receptive_field  what a network sees, by formula and by gradients
recipes          the published training recipes, as data
training         `fit`, the loop
parallel         the loop run by several processes, on one machine or many; no page needs it
trained          what comes out of it: a network with its recipe and history, and what it predicts
checkpoints      trained networks in files; a run taken up where it stopped
evaluation       intervals, paired tests, calibration, worst errors
plotting         one function per figure
pictures         any picture of digits made into what MNIST would hold of it
notebook         the top of each page: where things are, full or fast
device           where to compute, and with how many threads
progress         bars
clinic           the runs of notebook 6; not to be read before
check            answers to exercises: whether they are right, and how many are given
answers          what is right, a module for each notebook; not to be read before
files, errors    files written whole or not at all, by one process; what to say when something cannot be used
commands         `python -m helpers`; no page needs it

What made the course's records and its own fast and small networks is in `lab`, which this package never imports.
"""
