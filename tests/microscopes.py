"""Small files of microscopes' formats, written byte by byte: there is no library that writes them.

LIF as the reader of readlif and liffile describes it, ND2 (version 2, with its metadata as XML) as that of nd2 does.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_LIF_BLOCK, _LIF_VALUE = 0x70, 0x2A
_ND2_CHUNK, _ND2_NAME_BYTES, _ND2_FRAME_NAME_BYTES = 0x0ABECEDA, 40, 4072


def write_lif(path: Path, image: np.ndarray, names: tuple[str, ...], voxel_um: tuple[float, float, float]) -> None:
    """One image (C, Z, Y, X), uint16; voxel (Z, Y, X)."""
    n_channels, n_planes, height, width = image.shape
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
        f'Max="65535" Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{2 * i * height * width}" BitInc="0"/>'
        for i, name in enumerate(names)
    )
    plane = 2 * height * width
    steps = ((width, voxel_um[2], 2), (height, voxel_um[1], 2 * width), (n_planes, voxel_um[0], plane * n_channels))
    dimensions = "".join(
        f'<DimensionDescription DimID="{i}" NumberOfElements="{n}" Origin="0" Length="{(n - 1) * size * 1e-6}" '
        f'Unit="m" BitInc="0" BytesInc="{step}"/>'
        for i, (n, size, step) in enumerate(steps, start=1)
    )
    header = (
        '<LMSDataContainerHeader Version="2"><Element Name="file" Visibility="1" CopyOption="1" UniqueID="1">'
        '<Data><Experiment/></Data><Memory Size="0" MemoryBlockID="MemBlock_0"/><Children>'
        '<Element Name="series" Visibility="1" CopyOption="1" UniqueID="2"><Data><Image TextDescription="">'
        f"<ImageDescription><Channels>{channels}</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription>"
        f'</Image></Data><Memory Size="{image.nbytes}" MemoryBlockID="MemBlock_1"/><Children/></Element>'
        "</Children></Element></LMSDataContainerHeader>"
    )
    text = header.encode("utf-16-le")
    pixels = np.ascontiguousarray(image.transpose(1, 0, 2, 3)).tobytes()
    path.write_bytes(
        struct.pack("<iibi", _LIF_BLOCK, 5 + len(text), _LIF_VALUE, len(header))
        + text
        + _lif_block("MemBlock_0", b"")
        + _lif_block("MemBlock_1", pixels)
    )


def _lif_block(name: str, pixels: bytes) -> bytes:
    text = name.encode("utf-16-le")
    sizes = (_LIF_BLOCK, 14 + len(text), _LIF_VALUE, len(pixels), _LIF_VALUE, len(name))
    return struct.pack("<iibqbi", *sizes) + text + pixels


def write_nd2(path: Path, image: np.ndarray, names: tuple[str, ...], pixel_um: float) -> None:
    """One image (C, Y, X), uint16."""
    n_channels, height, width = image.shape
    content, places = bytearray(), {}

    def chunk(name: str, data: bytes, name_bytes: int = _ND2_NAME_BYTES) -> None:
        places[name] = (len(content), len(data))
        head = struct.pack("<IIQ", _ND2_CHUNK, name_bytes, len(data))
        content.extend(head + name.encode().ljust(name_bytes, b"\0") + data)

    size = {"uiWidth": width, "uiWidthBytes": 2 * width * n_channels, "uiHeight": height, "uiComp": n_channels}
    depth = {"uiBpcInMemory": 16, "uiBpcSignificant": 16, "uiSequenceCount": 1, "eCompression": 2}
    spectra = {"m_ExcitationSpectrum": _spectrum(488.0), "m_EmissionSpectrum": _spectrum(520.0)}
    planes = {
        f"a{i}": {"uiCompCount": 1, "uiSampleIndex": i, "sDescription": name, "pFluorescentProbe": spectra}
        for i, name in enumerate(names)
    }
    picture = {"uiCount": n_channels, "sPlaneNew": planes}
    chunk("ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver2.1".ljust(64, b"\0"), 32)
    chunk("ImageAttributes!", _xml(size | depth))
    chunk("ImageMetadataSeq|0!", _xml({"dCalibration": pixel_um, "bCalibrated": True, "sPicturePlanes": picture}))
    time = bytes(8)
    chunk("ImageDataSeq|0!", time + np.ascontiguousarray(image.transpose(1, 2, 0)).tobytes(), _ND2_FRAME_NAME_BYTES)
    chunk("CustomData|AcqTimesCache!", struct.pack("<d", 0.0))
    end = len(content)
    table = b"".join(name.encode() + struct.pack("<QQ", *place) for name, place in places.items())
    chunk("ND2 FILEMAP SIGNATURE NAME 0001!", table + b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", end), 32)
    path.write_bytes(content)


def _spectrum(nanometres: float) -> dict[str, object]:
    return {"uiCount": 1, "pPoint": {"p0": {"eType": 1, "dWavelength": nanometres, "dTValue": 1.0}}}


def _xml(values: dict[str, object]) -> bytes:
    return f"<variant>{_element('no_name', values)}</variant>".encode()


def _element(tag: str, value: object) -> str:
    if isinstance(value, dict):
        return f"<{tag}>{''.join(_element(*item) for item in value.items())}</{tag}>"
    kind = {bool: "bool", int: "lx_uint32", float: "double", str: "CLxStringW"}[type(value)]
    return f'<{tag} runtype="{kind}" value="{value}"/>'
