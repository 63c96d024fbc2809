"""A shortcut of somebody's own."""

from ablate.models.shortcuts import Identity


class Own(Identity):
    pass
