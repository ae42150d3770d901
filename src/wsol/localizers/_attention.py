"""Capture of the attention matrices inside any transformer."""

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from wsol.models.utils import full_precision

SOFTMAXES = (torch.softmax, Tensor.softmax, functional.softmax)

_EXTRAS = (
    "bias_k",
    "bias_v",
    "add_zero_attn",
    "key_padding_mask",
    "attn_mask",
    "use_separate_proj_weight",
    "static_k",
    "static_v",
    "is_causal",
)
"""Options of torch's multi-head attention that image classifiers do not use."""


class Attentions(TorchFunctionMode):
    """Context manager that collects every square attention matrix ``(N, heads, L, L)``.

    Transformers compute attention by a softmax, or by one fused operation that does not expose the
    matrix. Softmax calls are intercepted; the fused operation is replaced by its definition.

    They are in ``found``, in order of computation. With ``gradients`` the autograd graph is
    recorded from the first attention on.

    >>> queries = torch.rand(1, 2, 5, 4)
    >>> with Attentions() as attentions:
    ...     out = functional.scaled_dot_product_attention(queries, queries, queries)
    >>> attentions.found[0].shape
    torch.Size([1, 2, 5, 5])
    """

    def __init__(self, gradients: bool = False) -> None:
        """Initialize without attention matrices."""
        super().__init__()
        self.gradients = gradients
        self.found: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Intercept one call of torch."""
        kwargs = kwargs or {}
        if func is functional.scaled_dot_product_attention:
            return self._attend(*args, **kwargs)
        if func is functional.multi_head_attention_forward:
            return self._multi_head(args, kwargs)
        result = func(*args, **kwargs)
        return self._keep(result) if func in SOFTMAXES else result

    def _keep(self, attention: Tensor) -> Tensor:
        if attention.ndim != 4 or attention.shape[-1] != attention.shape[-2]:
            return attention
        if self.gradients and not attention.requires_grad:
            attention = attention.detach().requires_grad_()
            torch.set_grad_enabled(True)
        self.found.append(attention)
        return attention

    def _attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Tensor:
        """Compute ``scaled_dot_product_attention`` step by step."""
        if is_causal or enable_gqa or dropout_p:
            # Image classifiers use none of these options.
            others: dict[str, Any] = {"scale": scale, "enable_gqa": enable_gqa}
            return functional.scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, **others
            )
        return self._attention(query, key, attn_mask, scale).to(value.dtype) @ value

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        attn_mask: Tensor | None = None,
        scale: float | None = None,
    ) -> Tensor:
        # In float16 the products could overflow; the fused operation's do not.
        wide = torch.promote_types(query.dtype, torch.float32)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        with full_precision(query.device):
            scores = query.to(wide) * scale @ key.to(wide).transpose(-2, -1)
        if attn_mask is not None:
            masked = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(~attn_mask, -torch.inf) if masked else scores + attn_mask
        return self._keep(scores.softmax(-1))

    def _multi_head(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute torch's multi-head attention, step by step if no extra option is used."""
        function = functional.multi_head_attention_forward
        bound = signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        tokens = given["query"]
        is_own = tokens is given["key"] is given["value"] and tokens.ndim == 3
        # Tensors among the options cannot be evaluated as booleans.
        extras = any(given[name] is not None and given[name] is not False for name in _EXTRAS)
        if not is_own or extras or (given["training"] and given["dropout_p"]):
            return function(*args, **kwargs)
        length, batch, channels = tokens.shape
        parts = functional.linear(tokens, given["in_proj_weight"], given["in_proj_bias"])
        query, key, value = (
            part.view(length, batch, given["num_heads"], -1).permute(1, 2, 0, 3)
            for part in parts.chunk(3, 2)
        )
        attention = self._attention(query, key)
        seen = attention.to(value.dtype) @ value
        joined = seen.permute(2, 0, 1, 3).reshape(length, batch, channels)
        output = functional.linear(joined, given["out_proj_weight"], given["out_proj_bias"])
        if not given["need_weights"]:
            return output, None
        return output, attention.mean(1) if given["average_attn_weights"] else attention
