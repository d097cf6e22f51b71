"""Where to compute."""

import torch


def device() -> torch.device:
    """The fastest device at hand: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Whether products of bfloat16 numbers are quick there: NVIDIA from Ampere on, and x86 processors with AVX-512."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX512")
