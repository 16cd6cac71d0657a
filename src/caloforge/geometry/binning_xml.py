"""The binning files of the CaloChallenge: polar grids per layer, in XML."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from caloforge.errors import CaloForgeError, ConfigError, FileFormatError, UnknownNameError
from caloforge.geometry.geometry import Geometry, Layer
from caloforge.geometry.grid import PolarGrid
from caloforge.geometry.toml import read_small_file

__all__ = ["read_binning_xml"]

_CHILD = {None: "Bins", "Bins": "Bin", "Bin": "Layer"}


def read_binning_xml(path: Path | str, particle: str | None = None) -> Geometry:
    """Read one particle's geometry from a binning file of the CaloChallenge.

    A layer with a single edge does not exist; the ``id`` of the others becomes their name. The file has no z.

    Args:
        path: The XML file.
        particle: Name or PDG number; needed where the file has several.

    Raises:
        FileFormatError: The file is missing, is not XML, or has other contents.
        ConfigError: ``particle`` is needed or not in the file, or the layers make no calorimeter.

    References:
        C. Krause et al., CaloChallenge 2022: A Community Challenge for Fast Calorimeter Simulation,
        arXiv:2410.21611.
    """
    path = Path(path)
    chosen = _choose(_Reader(path).read(), path, particle)
    try:
        return Geometry(
            name=path.stem,
            source=f"CaloChallenge binning file {path.name}, particle {chosen.name}",
            layers=tuple(chosen.layers),
        )
    except CaloForgeError as err:
        raise ConfigError(f"{path}: {err}") from err


@dataclass(kw_only=True)
class _Bin:
    """One ``Bin`` element: a particle with its layers."""

    name: str
    pid: str
    layers: list[Layer] = field(default_factory=list)


def _choose(bins: list[_Bin], path: Path, particle: str | None) -> _Bin:
    names = [found.name for found in bins]
    if not bins:
        raise FileFormatError(path, "no <Bin> in it, so no particle.")
    if particle is None and len(bins) > 1:
        raise ConfigError(f"{path} has several particles; say which one: {', '.join(names)}.")
    matches = [found for found in bins if particle is None or str(particle) in (found.name, found.pid)]
    if not matches:
        raise ConfigError(f"{path}: {UnknownNameError('particle', str(particle), names)}")
    if len(matches) > 1:
        raise ConfigError(f"{path} has {len(matches)} bins for particle {particle}; keep only one of them.")
    return matches[0]


class _Reader:
    """Expat handlers; expat knows the line of every element, and refuses entities with their DOCTYPE."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bins: list[_Bin] = []
        self.open: list[str] = []
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self) -> list[_Bin]:
        content = read_small_file(self.path)
        try:
            self.parser.Parse(content, True)  # noqa: FBT003 - expat takes no keywords
        except expat.ExpatError as err:
            raise FileFormatError(self.path, f"not valid XML: {err}.") from err
        except (LookupError, ValueError) as err:
            if isinstance(err, CaloForgeError):
                raise
            raise FileFormatError(self.path, f"not valid XML: {err}.") from err  # an encoding nobody knows
        return self.bins

    def _problem(self, problem: str) -> FileFormatError:
        return FileFormatError(self.path, f"line {self.parser.CurrentLineNumber}: {problem}")

    def _doctype(self, *_: object) -> None:
        raise self._problem(
            "has a DOCTYPE, which a binning file does not need; refused because it can define entities."
        )

    def _start(self, tag: str, attributes: dict[str, Any]) -> None:
        inside = self.open[-1] if self.open else None
        if tag != (expected := _CHILD.get(inside)):
            where = f"in <{inside}>" if inside else "as the outermost element"
            raise self._problem(
                f"unexpected <{tag}> {where}; expected {f'<{expected}>' if expected else 'nothing'}."
            )
        self.open.append(tag)
        if tag == "Bin":
            pid = attributes.get("pid", "")
            self.bins.append(_Bin(name=self._get(attributes, "name", default=pid), pid=pid))
        elif tag == "Layer":
            self._layer(attributes)

    def _end(self, _: str) -> None:
        self.open.pop()

    def _get(self, attributes: dict[str, Any], key: str, default: str = "") -> str:
        if value := attributes.get(key, default).strip():
            return str(value)
        raise self._problem(f"<{self.open[-1]}> has no {key}.")

    def _layer(self, attributes: dict[str, Any]) -> None:
        if unknown := sorted(set(attributes) - {"id", "r_edges", "n_bin_alpha"}):
            raise self._problem(f"<Layer> has the unknown attribute {unknown[0]!r}.")
        name, listed = self._get(attributes, "id"), self._get(attributes, "r_edges")
        try:
            edges = tuple(float(edge) for edge in listed.split(","))
            n_alpha = int(self._get(attributes, "n_bin_alpha"))
            if len(edges) > 1:
                self.bins[-1].layers.append(Layer(name=name, grid=PolarGrid(r_edges=edges, n_alpha=n_alpha)))
        except FileFormatError:
            raise
        except ValueError as err:
            raise self._problem(f"layer {name}: {err}") from err
