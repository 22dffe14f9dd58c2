"""What the rating page asks for: a question at a time, its picture, and places for answers.

Whose captions they are stays in the session: no answer of the server names a system, a file, or a picture.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from capcli.output.html import render
from capcli.ratings.judgement import EVEN, LEVELS, PREFERENCE
from capcli.ratings.session import Asked, NotRated, Session
from capcli.web.answers import answer, answer_picture, answer_script, answer_style, guard_routes, read_json
from capcli.web.thumbnails import SIDES

MEANINGS = {
    "adequacy": ("Does it say what matters, and rightly?", "nothing", "all"),
    "fluency": ("How good is the English?", "bad", "good"),
}
"""Of each scale: the question, the lowest value and the highest."""


def make_application(session: Session, store: str, token: str, port: int) -> ASGIApp:
    """The page and what it asks for, guarded.

    Args:
        session: of the rater.
        store: by which a browser knows whose unsent answers it has.
        token: the secret in the address.
        port: that the server listens on.
    """
    rating = _Rating(session, store)
    routes: list[BaseRoute] = [
        Route("/", rating.page),
        Route("/rate.css", rating.style),
        Route("/rate.js", rating.script),
        Route("/progress", rating.progress),
        Route("/questions/{place:int}", rating.question, methods=["GET"]),
        Route("/questions/{place:int}", rating.judge, methods=["POST"]),
        Route("/questions/{place:int}/undo", rating.take_back, methods=["POST"]),
        Route("/pictures/{place:int}", rating.picture),
    ]
    return guard_routes(routes, token, port)


class _Rating:
    """Answers requests of one rater; what reads or writes the file runs in threads."""

    def __init__(self, session: Session, store: str) -> None:
        self._session, self._store = session, store

    def page(self, request: Request) -> Response:
        content = render(
            "web/rate.html",
            name="rate",
            title="Rate captions",
            store=self._store,
            preference=PREFERENCE in self._session.scales,
            even=EVEN,
            levels=LEVELS,
            meanings={scale: MEANINGS[scale] for scale in self._session.scales if scale in MEANINGS},
            count=self._session.count,
            rater=self._session.rater,
        )
        return Response(content, media_type="text/html")

    def style(self, request: Request) -> Response:
        return answer_style("output/page.css", "web/page.css", "web/rate.css")

    def script(self, request: Request) -> Response:
        return answer_script("web/page.js", "web/rate.js")

    def progress(self, request: Request) -> Response:
        return answer(self._progress(-1))

    def question(self, request: Request) -> Response:
        return self._try(lambda: self._session.ask(request.path_params["place"]))

    async def judge(self, request: Request) -> Response:
        asked = await read_json(request, **dict.fromkeys(self._session.scales, int))
        place = request.path_params["place"]
        return await run_in_threadpool(self._try, lambda: self._session.answer(place, asked))

    async def take_back(self, request: Request) -> Response:
        await read_json(request)
        return await run_in_threadpool(self._try, lambda: self._session.take_back(request.path_params["place"]))

    def picture(self, request: Request) -> Response:
        try:
            path = self._session.ask(request.path_params["place"]).path
        except NotRated as error:
            raise HTTPException(404, f"{error}") from None
        return answer_picture(str(path), SIDES["large"])

    def _try(self, make: Callable[[], Asked]) -> Response:
        """Answers with a question as it then is."""
        try:
            asked = make()
        except NotRated as error:
            return answer({"error": str(error)}, 422)
        question = {"place": asked.place, "id": asked.id, "captions": asked.captions, "values": asked.values}
        return answer({"question": question, **self._progress(asked.place)})

    def _progress(self, after: int) -> dict[str, object]:
        count = self._session.count
        return {"count": count, "done": count - self._session.count_open(), "open": self._session.find_open(after)}
