"""The page and its charts: one self-contained file that opens offline."""

from __future__ import annotations

import os
from pathlib import Path

from pcapkit.files import make_private
from pcapkit.kernels.cache import folder_for


def _give_matplotlib_a_folder() -> None:
    """Name one where matplotlib may keep its list of fonts, if the user's home can hold none.

    Else it makes a temporary one with every run, says so, and leaves it to an end of Python that
    processes which draw do not have.
    """
    if "MPLCONFIGDIR" in os.environ:
        return
    for variable, usual in (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache")):
        folder = Path(os.environ.get(variable) or os.path.expanduser(usual), "matplotlib")
        try:
            make_private(folder)  # it would make one by the umask
        except OSError:
            pass
        else:
            if os.access(folder, os.W_OK | os.X_OK):
                continue
        if (own := folder_for(__name__)) is not None:
            os.environ["MPLCONFIGDIR"] = own
        return


_give_matplotlib_a_folder()
