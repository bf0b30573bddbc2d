"""The evaluation as a PDF, drawn by fpdf2: summary, curve, figures, strips, closest, copies.

Its font, DejaVu Sans, knows Latin, Greek, Cyrillic, Armenian and Georgian letters and many signs;
others (Chinese, Arabic, emoji) are written as question marks, the HTML has them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.fonts import TTFFont
from PIL import Image

from dyod_studio.evaluation.results import METRICS, ExampleImage, Figure, PointResult
from dyod_studio.services.evaluation.plot import HEIGHT, WIDTH, Drawing, plot_of
from dyod_studio.services.evaluation.summary import copies_sentence, distances, how_to_read
from dyod_studio.services.evaluation.views import EvaluationView
from dyod_studio.services.views import ProjectView
from dyod_studio.settings import ASSETS_DIR

FONT = "DejaVu"
FONT_FILES = {"": "DejaVuSans.ttf", "B": "DejaVuSans-Bold.ttf"}
INK, QUIET, TEAL, AMBER = (40, 37, 36), (120, 113, 108), (15, 118, 110), (180, 83, 9)
COLOURS = {
    "grid": (225, 222, 220), "course": TEAL, "bar": TEAL, "baseline": AMBER,
    "chosen": (170, 215, 208),
}  # fmt: skip
WIDTHS = {"course": 0.6, "chosen": 2.0}
THUMBNAIL_MM = 20.0
THUMBNAIL_PX = 160
ROW_MM = 6.0
WITH_PLOT_MM = 105.0
"""A heading, how to read the curve, and the curve."""
LONGEST = 9


def write_pdf(
    view: EvaluationView, project: ProjectView, originals: Mapping[int, Path], path: Path
) -> None:
    """Write the whole report to ``path``."""
    pdf = _Page(f"How close is {project.name} to its pictures?")
    pdf.paragraph(
        f"{view.config.num} new pictures at each of {len(view.points)} settings, compared with "
        f"{project.num_pictures} of the project. Base model {project.base}.",
        QUIET,
    )
    pdf.paragraph(" ".join(view.summary), size=13)
    for extractor in view.extractors:
        drawing = plot_of(view, view.metrics[0], extractor) if view.metrics else None
        pdf.heading(f"Measured with {extractor}", room_mm=40 if drawing is None else WITH_PLOT_MM)
        if drawing is not None:
            pdf.paragraph(how_to_read(view.metrics[0]), QUIET, size=9)
            pdf.drawing(drawing)
        pdf.figures(view, extractor)
    _show_pictures(pdf, view, originals)
    pdf.heading("What the figures tell")
    for name in view.metrics:
        pdf.paragraph(f"{METRICS[name].title}: {METRICS[name].tells}", size=9)
    for note in view.notes:
        pdf.paragraph(note, QUIET, size=9)
    pdf.output(str(path))


def _show_pictures(pdf: "_Page", view: EvaluationView, originals: Mapping[int, Path]) -> None:
    pdf.heading("The same seeds at each setting")
    for point in view.points:
        pdf.strip(point.name, [point.folder / file for file in point.strip])
    found = distances(view.points)
    if found is not None:
        point = found[0][0]
        pdf.heading(f"Closest and strangest at {point.name}, beside what they are most like")
        pdf.strip("The closest", _pairs(point, point.best, originals))
        pdf.strip("The strangest", _pairs(point, point.worst, originals))
    sentence = copies_sentence(view.points)
    if sentence:
        pdf.heading("Copies")
        pdf.paragraph(sentence)
    for point in view.points:
        if point.copies:
            pdf.strip(point.name, _pairs(point, point.copies, originals))


class _Page(FPDF):
    """A4 upright, with the few shapes that the report is made of."""

    def __init__(self, title: str) -> None:
        super().__init__(format="A4")
        for style, file in FONT_FILES.items():
            self.add_font(FONT, style, ASSETS_DIR / "fonts" / file)
        fonts = [font for font in self.fonts.values() if isinstance(font, TTFFont)]
        self._known = set.intersection(*(set(font.cmap) for font in fonts))
        self.set_title(title)
        self.set_auto_page_break(True, margin=15)
        self.add_page()
        self.set_font(FONT, "B", 18)
        self.multi_cell(0, 9, self._written(title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def heading(self, words: str, room_mm: float = 40) -> None:
        """A heading that never stands alone at the foot of a page: so much must fit with it."""
        self._make_room(room_mm)
        self.ln(3)
        self.set_text_color(*INK)
        self.set_font(FONT, "B", 12)
        self.multi_cell(0, 7, self._written(words), new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    def paragraph(self, words: str, colour: tuple[int, int, int] = INK, size: float = 10) -> None:
        self.set_font(FONT, "", size)
        self.set_text_color(*colour)
        line = size * 0.5
        self.multi_cell(
            0, line, self._written(words), align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT
        )
        self.ln(1)

    def drawing(self, drawing: Drawing) -> None:
        """The plot over the width of the page."""
        scale = self.epw / WIDTH
        self._make_room(HEIGHT * scale)
        left, top = self.l_margin, self.get_y()
        for stroke in drawing.strokes:
            self.set_draw_color(*COLOURS[stroke.role])
            self.set_line_width(WIDTHS.get(stroke.role, 0.25))
            self.set_dash_pattern(*((2, 1.5) if stroke.role == "baseline" else (0, 0)))
            self.polyline([(left + x * scale, top + y * scale) for x, y in stroke.points])
        self.set_dash_pattern()
        self.set_fill_color(*TEAL)
        for dot in drawing.dots:
            self.circle(left + dot.x * scale, top + dot.y * scale, 1.1, style="F")
        self.set_font(FONT, "", 8)
        self.set_text_color(*QUIET)
        for text in drawing.texts:
            words = self._written(text.words)
            share = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.anchor]
            x = left + text.x * scale - share * self.get_string_width(words)
            self.text(x, top + text.y * scale, words)
        self.set_y(top + HEIGHT * scale + 2)

    def figures(self, view: EvaluationView, extractor: str) -> None:
        """A table of every figure of one extractor."""
        names = [
            name
            for name in view.metrics
            if any(name in point.figures.get(extractor, {}) for point in view.points)
        ]
        first = 42.0
        each = (self.epw - first) / (len(names) + 2)
        self.set_font(FONT, "", 5.6)
        self.set_text_color(*QUIET)
        self._row(first, each, ["", *map(_short, names), "calls", "s each"])
        self.set_text_color(*INK)
        for point in view.points:
            values = point.figures.get(extractor, {})
            cells = [_number(values.get(name)) for name in names]
            self._row(first, each, [point.name, *cells, str(point.calls), f"{point.seconds:.2f}"])

    def strip(self, name: str, paths: Sequence[Path]) -> None:
        """Pictures in a row, as many rows as they need, under their name."""
        self._make_room(THUMBNAIL_MM + ROW_MM)
        self.set_font(FONT, "", 9)
        self.set_text_color(*QUIET)
        self.cell(0, ROW_MM, self._written(name), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        place = 0
        for path in (path for path in paths if path.is_file()):
            if place + 1 > self.epw // (THUMBNAIL_MM + 1):
                self.ln(THUMBNAIL_MM + 1)
                self._make_room(THUMBNAIL_MM)
                place = 0
            x = self.l_margin + place * (THUMBNAIL_MM + 1)
            self.image(_small(path), x, self.get_y(), THUMBNAIL_MM, THUMBNAIL_MM)
            place += 1
        self.ln(THUMBNAIL_MM + 2 if place else 1)

    def _row(self, first: float, each: float, cells: Sequence[str]) -> None:
        self._make_room(ROW_MM)
        for index, words in enumerate(cells):
            self.cell(each if index else first, 4.5, self._written(words))
        self.ln(4.5)

    def _written(self, words: str) -> str:
        """The words in letters that the font has."""
        return "".join(letter if ord(letter) in self._known else "?" for letter in words)

    def _make_room(self, height_mm: float) -> None:
        if self.will_page_break(height_mm):
            self.add_page()


def _pairs(
    point: PointResult, shown: Sequence[ExampleImage], originals: Mapping[int, Path]
) -> list[Path]:
    """Each picture, then the one of the set that it is most like."""
    found = []
    for entry in shown:
        found.append(point.folder / entry.file)
        if entry.nearest_id is not None and entry.nearest_id in originals:
            found.append(originals[entry.nearest_id])
    return found


def _small(path: Path) -> Image.Image:
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    return small


def _number(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    spread = "" if figure.std is None else f" ±{float(f'{figure.std:.2g}'):g}"
    return f"{figure.value:.3g}{spread}"


def _short(name: str) -> str:
    """A title that fits its column."""
    title = METRICS[name].title
    return title if len(title) <= LONGEST else name.upper()
