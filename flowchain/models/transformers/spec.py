"""Which checkpoint is meant, and where does it run? The settings of a model as one record."""

from __future__ import annotations

from dataclasses import dataclass

from flowchain.errors import ModelError, shown

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class Spec:
    """Where weights come from and where they go; equal specs share one loaded instance in a process."""

    name: str
    """A hub id (``org/name``) or the path of a local folder."""
    revision: str | None = None
    """A commit, branch or tag of the hub; None: the default branch."""
    device: str | None = None
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``; None: the accelerator that is there, else the CPU."""
    dtype: str | None = None
    """``float32``, ``bfloat16``, ``float16``; None: float32 on a CPU, else what the accelerator is fast at."""
    local_files_only: bool = False
    """Never ask the hub: use what its cache holds."""
    allow_pickle: bool = False
    """Read weights that exist as pickles only, through torch's unpickler for tensors alone."""

    def __post_init__(self) -> None:
        for field in ("revision", "device", "dtype"):
            value = getattr(self, field)
            if value is not None and not isinstance(value, str):
                got = f"{shown(value)} ({type(value).__name__})"
                raise ModelError(f"{field}: got {got}, wanted a text.", field=field, got=got, wanted="a text")
        if self.dtype is not None and self.dtype not in DTYPES:
            got, wanted = shown(self.dtype), " or ".join(DTYPES)
            raise ModelError(f"dtype: got {got}, wanted {wanted}.", field="dtype", got=got, wanted=wanted)
