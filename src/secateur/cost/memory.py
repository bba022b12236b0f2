"""Bytes: the peak of a forward pass, and the size of a model folder."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, UntypedStorage, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from secateur.cost.inputs import random_inputs
from secateur.errors import SecateurError
from secateur.structure.modes import evaluating


def peak_memory(model: PreTrainedModel, *, length: int, batch_size: int = 1) -> int:
    """The peak memory of one forward pass in inference, in bytes; see :func:`peak_bytes`.

    Raises:
        SecateurError: if ``length`` exceeds the model's positions.
    """
    return peak_bytes(model, random_inputs(model, length=length, batch_size=batch_size))


def peak_bytes(module: nn.Module, inputs: Mapping[str, Any]) -> int:
    """Bytes of parameters, buffers and inputs, plus the maximum that the pass's own tensors take at any one time.

    On CUDA, the caching allocator reports the latter (rounded to blocks of 512 bytes). Elsewhere, each operation's new
    tensors are added when created and subtracted when freed, which gives the same figure on every machine and for any
    number of threads. It excludes scratch space that a kernel allocates and frees within one operation, such as the
    blocks of the fused attention. Neither includes Python, libraries and the allocator's reserve.
    """
    tensors = [each for each in inputs.values() if isinstance(each, Tensor)]
    resident = _storages([*module.parameters(), *module.buffers(), *tensors])
    on_cuda = any(tensor.is_cuda for tensor in tensors)
    # no_grad, not inference_mode: the latter hides what composite operations allocate internally.
    with evaluating(module), torch.no_grad():
        transient = _cuda_peak if on_cuda else observed_peak
        return sum(storage.nbytes() for storage in resident) + transient(lambda: module(**inputs), resident)


def disk_bytes(folder: Path) -> int:
    """Total size of the files in ``folder`` and below, in bytes.

    Raises:
        SecateurError: if there is no such folder.
    """
    if not folder.is_dir():
        raise SecateurError(f"{folder}: no such folder, so its size is unknown; save the model there first")
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def observed_peak(run: Callable[[], Any], resident: Iterable[UntypedStorage] = ()) -> int:
    """The peak bytes of tensors created while ``run`` ran, without those in ``resident``."""
    with _LiveTensors(resident) as tensors:
        run()
    return tensors.peak


class _LiveTensors(TorchDispatchMode):
    """Tracks the total size of the storages that operations created and that are still alive."""

    def __init__(self, resident: Iterable[UntypedStorage]) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known = {storage._cdata for storage in resident}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for storage in _storages(leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)):
            if storage._cdata not in self._known:  # otherwise a view, or the result of an in-place operation
                self._born(storage)
        self.peak = max(self.peak, self.live)
        return result

    def _born(self, storage: UntypedStorage) -> None:
        address, size = storage._cdata, storage.nbytes()
        self._known.add(address)
        self.live += size
        weakref.finalize(storage, self._died, address, size)

    def _died(self, address: int, size: int) -> None:
        self._known.remove(address)
        self.live -= size


def _storages(tensors: Iterable[Tensor]) -> list[UntypedStorage]:
    """The storages behind ``tensors``, each once, however many tensors share it."""
    return list({storage._cdata: storage for storage in (t.untyped_storage() for t in tensors)}.values())


def _cuda_peak(forward: Callable[[], Any], resident: Iterable[UntypedStorage]) -> int:
    forward()  # allocates the libraries' workspaces, which later passes and other models share
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    forward()
    return torch.cuda.max_memory_allocated() - before
