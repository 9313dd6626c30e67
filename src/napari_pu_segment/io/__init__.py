"""Images, strokes and results on disk: the only place that knows file formats.

Read: PNG, JPEG and BMP; TIFF of any real numbers, with the axes, channel names and pixel size of ImageJ and OME;
OME-Zarr; .npy without pickled objects; FITS through astropy; formats of microscopes through bioio; strokes as GeoJSON.
Written: TIFF, OME-Zarr and GeoJSON, and PNG for pictures to look at.
"""

from .lazy import LazyImage
from .names import IMAGE_SUFFIXES, ZARR_SUFFIX, list_images, sanitise_name, stem_of
from .outputs import OUTPUT_SUFFIXES, Output, create_output, open_part
from .read import (
    Header,
    ImageFile,
    probe,
    read_image,
    read_labels,
    read_levels,
    read_mask,
    read_numbers,
    read_probability,
)
from .source import LAZY_BYTES
from .strokes import GEOJSON_SUFFIXES, read_strokes, write_strokes
from .units import clean_unit
from .write import storable, write_image, write_picture
from .zarr_read import is_zarr

__all__ = [
    "GEOJSON_SUFFIXES",
    "IMAGE_SUFFIXES",
    "LAZY_BYTES",
    "OUTPUT_SUFFIXES",
    "ZARR_SUFFIX",
    "Header",
    "ImageFile",
    "LazyImage",
    "Output",
    "clean_unit",
    "create_output",
    "is_zarr",
    "list_images",
    "open_part",
    "probe",
    "read_image",
    "read_labels",
    "read_levels",
    "read_mask",
    "read_numbers",
    "read_probability",
    "read_strokes",
    "sanitise_name",
    "stem_of",
    "storable",
    "write_image",
    "write_picture",
    "write_strokes",
]
