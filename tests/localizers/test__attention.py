"""What is watched computes what it does unwatched."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from wsol.localizers._attention import Attentions

TOKENS = torch.randn(5, 2, 8, generator=torch.Generator().manual_seed(1))
OTHERS = torch.randn(5, 2, 8, generator=torch.Generator().manual_seed(2))
LATER = torch.ones(5, 5).triu(1).bool()

Call = Callable[[nn.MultiheadAttention], tuple[Tensor, Tensor | None]]


def layer(**options: Any) -> nn.MultiheadAttention:
    """Return torch's own layer with weights that matter."""
    torch.manual_seed(0)
    made = nn.MultiheadAttention(8, 2, **options).eval()
    for weight in made.parameters():
        nn.init.normal_(weight)
    return made


@pytest.mark.parametrize(
    ("call", "options", "watched"),
    [
        (lambda own: own(TOKENS, TOKENS, TOKENS, need_weights=False), {}, 1),
        (lambda own: own(TOKENS, TOKENS, TOKENS), {}, 1),
        (lambda own: own(TOKENS, TOKENS, TOKENS, average_attn_weights=False), {}, 1),
        (lambda own: own(TOKENS, TOKENS, TOKENS), {"bias": False}, 1),
        (lambda own: own(TOKENS, TOKENS, OTHERS), {}, 0),
        (lambda own: own(TOKENS, OTHERS, OTHERS), {}, 0),
        (lambda own: own(TOKENS, TOKENS, TOKENS, attn_mask=LATER), {}, 0),
        (lambda own: own(TOKENS, TOKENS, TOKENS, key_padding_mask=LATER[:2]), {}, 0),
        (lambda own: own(TOKENS, TOKENS, TOKENS), {"add_bias_kv": True}, 0),
        (lambda own: own(TOKENS, TOKENS, TOKENS), {"add_zero_attn": True}, 0),
        (lambda own: own(TOKENS, TOKENS[..., :6], TOKENS), {"kdim": 6}, 0),
        (lambda own: own(TOKENS[0], TOKENS[0], TOKENS[0]), {}, 0),
        (lambda own: own.train()(TOKENS, TOKENS, TOKENS), {"dropout": 0.5}, 0),
    ],
)
def test_multi_head_attention_is_what_it_was(
    call: Call, options: dict[str, Any], watched: int
) -> None:
    """Output and weights, for all options; calls with extra options are not recorded."""
    own = layer(**options)
    with torch.no_grad():
        torch.manual_seed(0)
        output, weights = call(own)
        torch.manual_seed(0)
        with Attentions() as attentions:
            found, found_weights = call(own)
    torch.testing.assert_close(found, output)
    torch.testing.assert_close(found_weights, weights)
    assert len(attentions.found) == watched


@pytest.mark.parametrize(
    ("heads", "options", "watched"),
    [
        (4, {}, 1),
        (4, {"attn_mask": ~LATER}, 1),
        (4, {"attn_mask": LATER * -3.0}, 1),
        (4, {"scale": 0.3}, 1),
        (4, {"is_causal": True}, 0),
        (4, {"dropout_p": 0.5}, 0),
        (2, {"enable_gqa": True}, 0),
    ],
)
def test_fused_attention_is_what_it_was(heads: int, options: dict[str, Any], watched: int) -> None:
    """One key for several queries, a mask or chance included."""
    queries = TOKENS.view(5, 2, 4, 2).permute(1, 2, 0, 3)
    keys = OTHERS.view(5, 2, 4, 2).permute(1, 2, 0, 3)[:, :heads]
    torch.manual_seed(0)
    expected = scaled_dot_product_attention(queries, keys, keys, **options)
    torch.manual_seed(0)
    with Attentions() as attentions:
        found = scaled_dot_product_attention(queries, keys, keys, **options)
    torch.testing.assert_close(found, expected)
    assert len(attentions.found) == watched


def test_attention_in_float16_does_not_overflow() -> None:
    """Products of queries and keys may be above its largest number before they are scaled."""
    queries = torch.full((1, 1, 4, 256), 20.0).half()
    keys = queries * torch.tensor([1.0, 0.5, 0.0, -1.0]).half()[:, None]
    with Attentions() as attentions:
        out = scaled_dot_product_attention(queries, keys, keys)
    expected = scaled_dot_product_attention(queries.float(), keys.float(), keys.float())
    assert attentions.found[0].isfinite().all()
    torch.testing.assert_close(out, expected.half())
