"""A picture that is cheap to send and dear to open."""

from __future__ import annotations

import re
from io import BytesIO

from PIL import Image

_SCAN = re.compile(rb"\xff\xda.*?(?=\xff[^\x00\xd0-\xd7])", re.DOTALL)


def repeated_scan(edge: int, times: int) -> bytes:
    """A progressive JPEG, `edge` px square, with one of its scans in it so often; each is worked through in full."""
    out = BytesIO()
    Image.new("RGB", (edge, edge), "teal").save(out, "JPEG", progressive=True)
    data = out.getvalue()
    scan = list(_SCAN.finditer(data))[-1]
    return data[: scan.end()] + scan[0] * times + data[scan.end() :]
