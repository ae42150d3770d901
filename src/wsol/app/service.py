"""Localization in uploaded images, in a single thread, and downloads of the boxes."""

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.datastructures import UploadFile

from wsol.app.config import AppConfig
from wsol.app.storage import Choice, ImageStore, StoredImage, free_name, save_upload
from wsol.errors import ImageError
from wsol.formats import PredictionInfo, check_format
from wsol.formats.convert import convert
from wsol.inference.config import BoxOptions, LocalizerOptions
from wsol.inference.fitting import MAX_FIT_IMAGES
from wsol.inference.localizer import Localizer
from wsol.inference.postprocess import rethreshold
from wsol.localizers import list_localizers
from wsol.localizers._layers import find_stages
from wsol.results.localization import Localization
from wsol.results.store import PredictionStore, PredictionWriter, encode_map
from wsol.types import is_distilled

MOST_LOCALIZERS = 4
"""Maximum number of cached localizers, each with a separate network; least recently used are
removed."""

LIKELY = 5
"""Number of most likely classes of an image that a user can select."""


@dataclass
class _Loaded:
    """Localizer, and the number of images that it was fitted to; None if it needs no fit."""

    localizer: Localizer
    fitted_to: int | None


class LocalizerCache:
    """Cache of localizers by choice; not thread-safe.

    Attributes:
        first: default localizer.
        layers: names of the modules that a user can select.

    Raises:
        RunError: the run is not finished.
        ConfigError: an option is not valid for the network.
    """

    def __init__(self, config: AppConfig) -> None:
        """Load the network."""
        self.config = config
        self.loaded: dict[tuple[str | None, str], _Loaded] = {}
        self.first = self._find(Choice()).localizer
        self.layers = [stage.layer for stage in find_stages(self.first.model)]

    def classify(self, path: Path) -> list[tuple[int, float]]:
        """Return indices and probabilities of the most likely classes; none if unreadable."""
        (likely,) = self.first.likely_labels([path], LIKELY)
        return likely

    def localize(
        self, path: Path, name: str, choice: Choice, others: Sequence[Path] = ()
    ) -> tuple[Localization, float]:
        """Return the localization of an image under a name, and the threshold of its boxes.

        A localizer that needs it is fitted to other images.

        Raises:
            ConfigError: the localizer, layer or class does not exist, or is not valid for the
                network.
        """
        loaded = self._find(choice)
        # Fit again when there are more images, up to a sufficient number.
        if loaded.fitted_to is not None and loaded.fitted_to < min(len(others), MAX_FIT_IMAGES):
            loaded.localizer.fit(others)
            loaded.fitted_to = len(others)
        (found,) = loaded.localizer([path], [name], choice.label)
        return found, loaded.localizer.threshold

    def _find(self, choice: Choice) -> _Loaded:
        key = choice.localizer, choice.layer
        loaded = self.loaded.pop(key, None) or self._load(choice)
        self.loaded[key] = loaded
        if len(self.loaded) > MOST_LOCALIZERS:
            # The default localizer is never removed.
            oldest = next(each for each in self.loaded if each != (None, ""))
            del self.loaded[oldest]
        return loaded

    def _load(self, choice: Choice) -> _Loaded:
        changes: dict[str, Any] = {}
        if choice.localizer is not None:
            changes = dict(vars(BoxOptions(localizer=choice.localizer)))
        if choice.layer:
            changes["layers"] = choice.layer
        options = LocalizerOptions.of(self.config, batch_size=1, **changes)
        localizer = Localizer(self.config.run, **vars(options))
        return _Loaded(localizer, None if localizer.is_fitted else 0)


def localizer_names() -> list[str]:
    """Return the names of the localizers that a user can select.

    >>> "cam" in localizer_names(), "psol" in localizer_names()
    (True, False)
    """
    # Distilled localizers only exist in distilled runs.
    return [name for name in list_localizers() if not is_distilled(name)]


PIECE = 1 << 16
"""Bytes that are sent at a time."""


def zip_formats(
    folder: Path,
    stored: Sequence[StoredImage],
    found: Iterable[Localization],
    info: PredictionInfo,
    formats: Sequence[str],
) -> BinaryIO:
    """Return an open temporary zip file with the localizations of stored images in some formats.

    All files in the folder are temporary. The folder of images in the information is replaced.

    Raises:
        ConfigError: a format is unknown.
    """
    for name in formats:
        check_format(name)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        images, store, out = (Path(work, name) for name in ("images", "record", "out"))
        for each in (images, store, out):
            each.mkdir()
        for image in stored:
            place = images / image.found.image_id
            place.parent.mkdir(parents=True, exist_ok=True)
            # An image may have been removed meanwhile; only formats that need its file fail then.
            with suppress(FileNotFoundError):
                place.hardlink_to(image.path)
        writer = PredictionWriter(store, replace(info, images=images))
        for result in found:
            writer.add(result)
        writer.close()
        convert(PredictionStore(store), out, formats)
        with ExitStack() as stack:
            # A file without a name is removed when it is closed.
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted(out.rglob("*")):
                    if path.is_file():
                        archive.write(path, path.relative_to(out).as_posix())
            file.seek(0)
            stack.pop_all()
    return file


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of a file in pieces, and close it."""
    with file:
        while piece := file.read(PIECE):
            yield piece


Result = TypeVar("Result")


class InferenceService:
    """Stores uploaded images, of at most some bytes each, and localizes objects in them."""

    def __init__(self, cache: LocalizerCache, store: ImageStore, most_bytes: int) -> None:
        """Store cache, image store and limit."""
        self.cache, self.store, self.most_bytes = cache, store, most_bytes
        self.one = CapacityLimiter(1)

    async def work(self, job: Callable[[], Result]) -> Result:
        """Run a job in a thread, one job at a time; a shutdown does not wait for it."""
        return await run_sync(job, limiter=self.one, abandon_on_cancel=True)

    async def take(self, files: Sequence[UploadFile], choice: Choice) -> list[StoredImage | str]:
        """Store uploaded files, and localize objects in them.

        Returns:
            Stored image of each file, or the reason why it was refused.

        Raises:
            ConfigError: the choice is not valid; no file is stored.
        """
        paths = [self.store.new_path() for _ in files]
        try:
            # All files are opened first, as localizers may be fitted to all of them.
            reasons = [
                await self._open(file, path) for file, path in zip(files, paths, strict=True)
            ]
            good = [path for path, reason in zip(paths, reasons, strict=True) if reason is None]
            return [
                reason or await self._keep(file.filename or "", path, choice, good)
                for file, path, reason in zip(files, paths, reasons, strict=True)
            ]
        finally:
            for path in paths:
                if path.name not in self.store.images:
                    self.store.remove(path)

    async def localize(self, image: StoredImage, choice: Choice) -> StoredImage:
        """Localize in a stored image again, with another choice.

        Raises:
            ConfigError: the choice is not valid.
        """
        others = [each.path for each in self.store]
        found, threshold = await self.work(
            lambda: self._localize(image.path, image.likely, choice, others)
        )
        again = replace(
            image,
            found=_without_map(found, image.found.image_id),
            heat_map=encode_map(found.heat_map),
            choice=choice,
            threshold=threshold,
        )
        if image.id in self.store.images:
            self.store.add(again)
        return again

    async def download(self, formats: Sequence[str], threshold: float | None) -> BinaryIO:
        """Return a zip file with the boxes of all images in some formats.

        The default threshold is the one that all images share, or that of the default localizer if
        they differ.

        Raises:
            ConfigError: a format is unknown.
        """
        images = list(self.store)
        info = self.cache.first.info(self.store.folder)
        if threshold is None:
            # Formats use a single threshold for masks, and boxes must match the masks.
            own = {each.threshold for each in images}
            threshold = own.pop() if len(own) == 1 else info.threshold
        info = replace(info, threshold=threshold)

        def job() -> BinaryIO:
            found = (self._cut(each.whole(), info.threshold, each.choice) for each in images)
            return zip_formats(self.store.folder, images, found, info, formats)

        return await self.work(job)

    def _cut(self, found: Localization, threshold: float, choice: Choice) -> Localization:
        first = self.cache.first
        return rethreshold(
            found, threshold, choice.instances or first.instances, first.is_multi_label
        )

    def _localize(
        self,
        path: Path,
        likely: Sequence[tuple[int, float]],
        choice: Choice,
        others: Sequence[Path],
    ) -> tuple[Localization, float]:
        # A single class, as the map does not separate the boxes of more than one.
        label = likely[0][0] if choice.label is None else choice.label
        found, threshold = self.cache.localize(
            path, path.name, replace(choice, label=label), others
        )
        if found.error is not None:
            raise found.error
        return self._cut(found, threshold, choice), threshold

    async def _open(self, file: UploadFile, path: Path) -> str | None:
        """Write an upload to a path; return the reason if it is refused, or None."""
        try:
            await self.work(
                lambda: save_upload(file, path, self.most_bytes, self.cache.config.max_pixels)
            )
        except ImageError as error:
            return error.reason
        return None

    async def _keep(
        self, name: str, path: Path, choice: Choice, good: Sequence[Path]
    ) -> StoredImage | str:
        """Localize in an upload and store it; return the reason if it is refused."""
        reason = self.store.full()
        if reason is not None:
            return reason
        others = list(dict.fromkeys([*(each.path for each in self.store), *good]))

        def job() -> tuple[list[tuple[int, float]], Localization, float]:
            likely = self.cache.classify(path)
            return likely, *self._localize(path, likely, choice, others)

        try:
            likely, found, threshold = await self.work(job)
        except ImageError as error:
            return error.reason
        # Check again, as other images may have been added meanwhile; no await follows.
        reason = self.store.full()
        if reason is not None:
            return reason
        image_id = free_name(name, [image.found.image_id for image in self.store])
        image = StoredImage(
            name=name,
            path=path,
            found=_without_map(found, image_id),
            heat_map=encode_map(found.heat_map),
            likely=likely,
            choice=choice,
            threshold=threshold,
        )
        self.store.add(image)
        return image


def _without_map(found: Localization, name: str) -> Localization:
    # A new empty array, as a view would keep the whole map in memory.
    return replace(found, image_id=name, heat_map=np.zeros((0, 0), np.float32))
