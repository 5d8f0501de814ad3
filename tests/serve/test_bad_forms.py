"""Forms (multipart/form-data): what is wrong with them is refused, names of files are only names, all is bounded."""

from __future__ import annotations

import pytest

from tests.demo_world import PICTURES
from tests.serve.test_classify import problem
from tests.serving import Running

PICTURE = PICTURES[0].read_bytes()
FORM = "multipart/form-data; boundary=x"


def test_a_form_of_1000_files_is_refused(service: Running) -> None:
    found = problem(service.form(*[b"x"] * 1000), 413)

    assert found["detail"] == "more than 32 files in a request"


def form(*parts: bytes, end: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + end


FILE = b'Content-Disposition: form-data; name="f"; filename="f.jpg"\r\n'
BAD_FORMS = {
    "no parts": (b"--x--\r\n", 400),
    "nothing": (b"", 400),
    "no file": (form(b'Content-Disposition: form-data; name="top"\r\n\r\n3'), 400),
    "an unknown field": (form(FILE + b"\r\nx", b'Content-Disposition: form-data; name="size"\r\n\r\n3'), 400),
    "a part without a name": (form(b"\r\nx"), 400),
    "rubbish": (b"rubbish", 400),
    "a header of 1 MB": (form(FILE + b"X: " + b"y" * (1 << 20) + b"\r\n\r\nx"), 400),
    "10,000 headers": (form(FILE + b"X: y\r\n" * 10_000 + b"\r\nx"), 400),
    "a header without an end": (b"--x\r\n" + b"y" * (1 << 20), 400),
    "a field of 1 MB": (form(b'Content-Disposition: form-data; name="top"\r\n\r\n' + b"3" * (1 << 20)), 413),
    "1,000 fields": (form(*[b'Content-Disposition: form-data; name="top"\r\n\r\n3'] * 1000), 413),
}


@pytest.mark.parametrize("name", BAD_FORMS)
def test_a_form_that_makes_no_sense_is_refused(service: Running, name: str) -> None:
    body, status = BAD_FORMS[name]

    problem(service.post(body, FORM), status)
    assert service.post(PICTURE).status_code == 200


def test_a_form_without_a_boundary_is_refused(service: Running) -> None:
    assert "boundary" in problem(service.post(form(FILE + b"\r\nx"), "multipart/form-data"), 400)["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (form(FILE + FILE + b"\r\nx"), FORM, "a part has Content-Disposition twice"),
        (form(b"Content-Disposition:\r\n" + FILE + b"\r\nx"), FORM, "a part has Content-Disposition twice"),
        (form(FILE[:-2] + b"; Name=top\r\n\r\nx"), FORM, "a header has name twice"),
        (form(FILE[:-2] + b'; filename="g.jpg"\r\n\r\nx'), FORM, "a header has filename twice"),
        (form(FILE + b"\r\nx"), "multipart/form-data; boundary=y; BOUNDARY=x", "a header has boundary twice"),
    ],
)
def test_a_form_with_two_readings_is_refused(service: Running, body: bytes, content_type: str, words: str) -> None:
    assert words in problem(service.post(body, content_type), 400)["detail"]


def test_a_form_that_breaks_off_is_refused(service: Running) -> None:
    whole = form(FILE + b"\r\n" + PICTURE)

    for length in (10, 100, 1000, len(whole) - 10):
        answer = service.post(whole[:length], FORM)
        assert "breaks off" in problem(answer, 400)["detail"]
    assert service.post(whole, FORM).status_code == 200


def test_a_file_of_a_form_that_is_too_large_is_a_value(service: Running) -> None:
    answer = service.form(PICTURE, bytes((1 << 20) + 1))

    assert [record.get("error", {}).get("kind") for record in answer.json()["results"]] == [None, "too_large"]


def test_an_empty_file_of_a_form_is_a_value(service: Running) -> None:
    assert service.form(b"", PICTURE).json()["results"][0]["error"]["kind"] == "not_an_image"


def test_a_name_of_a_file_is_only_a_name(service: Running) -> None:
    names = ["../../etc/passwd", "/etc/hostname", "*", "-", "s3://bucket/a.jpg"]
    files = [("file", (name, PICTURE)) for name in names]
    records = service.client.post("/v1/classify", files=files).json()["results"]

    assert [(record["target"], record["status"]) for record in records] == [(name, "ok") for name in names]


# Names of files


def file(disposition: bytes, data: bytes = PICTURE, more: bytes = b"") -> bytes:
    return b"Content-Disposition: form-data; name=f" + disposition + b"\r\n" + more + b"\r\n" + data


NAMES = {
    "another name in it": (rb'; filename="a\"; name=\"b; filename=c.jpg"', 'a"; name="b; filename=c.jpg'),
    "no name at all": (b"; filename=", "file 0"),
    "an empty name": (b'; filename=""', "file 0"),
    "UTF-8": ('; filename="Zürich 🐦.jpg"'.encode(), "Zürich 🐦.jpg"),
    "no UTF-8": (b'; filename="Z\xfcrich.jpg"', "Z\ufffdrich.jpg"),
    "ends of lines as browsers write them": (b'; filename="a%0D%0Ab.jpg"', "a%0D%0Ab.jpg"),
    "a quote": (b'; filename="a\\"b.jpg"', 'a"b.jpg'),
    "controls of a terminal": (b'; filename="a\0\x1b[31mb\x7f.jpg"', "a\0\x1b[31mb\x7f.jpg"),
    "a change of direction": ('; filename="a\u202egpj.exe"'.encode(), "a\u202egpj.exe"),
    "a path of Windows": (b'; filename="C:\\birds\\a.jpg"', "a.jpg"),
    "as older clients write it": (b"; filename*=UTF-8''Z%C3%BCrich%20%F0%9F%90%A6.jpg", "Zürich 🐦.jpg"),
    "as older clients write it, with an end of a line": (b"; filename*=utf-8'en'a%0D%0Ab%00.jpg", "a\r\nb\0.jpg"),
    "in both ways": (b"; filename*=UTF-8''b.jpg; filename=a.jpg", "a.jpg"),
    "one that looks like the other way": (b"; filename=\"a; filename*=UTF-8''b.jpg\"", "a; filename*=UTF-8''b.jpg"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_comes_back_as_it_was_sent_in_json_that_shows_no_control_character(service: Running, name: str) -> None:
    disposition, expected = NAMES[name]
    answer = service.post(form(file(disposition)), FORM)

    assert [record["target"] for record in answer.json()["results"]] == [expected]
    assert not set(answer.content.removesuffix(b"\n")) & {*range(0x20), 0x7F} - {0x7F}


def test_a_long_name_is_bounded_by_the_header_of_its_part(service: Running) -> None:
    short, long = (form(file(b'; filename="' + b"a" * size + b'"')) for size in (4000, 5000))

    assert len(service.post(short, FORM).json()["results"][0]["target"]) == 4000
    problem(service.post(long, FORM), 400)


def test_a_header_of_very_many_parameters_is_refused(service: Running) -> None:
    """To take them apart takes the square of their number."""
    name, many = (b'; filename="' + b";" * count + b'"' for count in (90, 110))

    assert service.post(form(file(name)), FORM).json()["summary"]["ok"] == 1
    for body, content_type in ((form(file(many)), FORM), (form(file(name)), FORM + "; a=b" * 110)):
        found = problem(service.post(body, content_type), 400)
        assert found["detail"] == "the form cannot be read: a header with over 100 semicolons"


# Odd forms that are whole


def test_files_of_the_same_name_and_field_are_as_many_pictures(service: Running) -> None:
    records = service.post(form(*[file(b"; filename=a.jpg")] * 3), FORM).json()["results"]

    assert [(record["index"], record["target"], record["status"]) for record in records] == [
        (index, "a.jpg", "ok") for index in range(3)
    ]


ODD_FORMS = {
    "a boundary in quotes": (form(file(b"; filename=a.jpg")), 'multipart/form-data; boundary="x"'),
    "letters of any case": (form(file(b"; filename=a.jpg")), "Multipart/Form-Data; BOUNDARY=x"),
    "behind the end": (form(file(b"; filename=a.jpg")) + b"and more", FORM),
    "another form behind the end": (form(file(b"; filename=a.jpg")) + form(b"rubbish"), FORM),
    "a type of its own": (form(file(b"; filename=a.jpg", more=b"Content-Type: text/html\r\n")), FORM),
    "a boundary that stands in the picture": (form(file(b"; filename=a.jpg", PICTURE + b"\r\n--y\r\n--")), FORM),
}


@pytest.mark.parametrize("name", ODD_FORMS)
def test_an_odd_form_that_is_whole_is_read(service: Running, name: str) -> None:
    body, content_type = ODD_FORMS[name]

    assert service.post(body, content_type).json()["summary"]["ok"] == 1


def test_a_form_in_a_form_is_one_field_that_is_not_known(service: Running) -> None:
    inner = b"--y\r\nContent-Disposition: file; filename=a\r\n\r\nx\r\n--y--"
    head = b"Content-Disposition: form-data; name=files\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
    nested = head + inner

    found = problem(service.post(form(file(b"; filename=a.jpg"), nested), FORM), 400)
    assert "no field files" in found["detail"]


def test_a_form_of_a_url_says_that_there_is_no_such_field(service: Running) -> None:
    body = form(b"Content-Disposition: form-data; name=url\r\n\r\nhttp://a.example/")

    assert "no field url; known are top" in problem(service.post(body, FORM), 400)["detail"]


def test_a_form_with_the_name_of_a_file_says_how_to_send_its_content(service: Running) -> None:
    hint = "the form holds no file: send the content of one (with curl: -F file=@photo.jpg)"
    name = b"Content-Disposition: form-data; name=file\r\n\r\nphoto.jpg"
    top = b"Content-Disposition: form-data; name=top\r\n\r\n1"

    found = problem(service.post(form(name), FORM), 400)["detail"]
    assert found == f"no field file; known are top, min_score, resize; {hint}"
    assert problem(service.post(form(top), FORM), 400)["detail"] == hint
    assert hint not in problem(service.post(form(name, file(b"; filename=a.jpg")), FORM), 400)["detail"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=" + "x" * 20_000,
        "multipart/form-data; boundary=x" + ";" * 20_000,
        "multipart/form-data; boundary=x" + "; a=b" * 4_000,
        'multipart/form-data; boundary=x; a="' + '\\"' * 10_000,
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=y",
    ],
    ids=["long", "semicolons", "parameters", "quotes", "empty", "empty quotes", "another"],
)
def test_an_absurd_boundary_is_an_answer_and_no_fault(service: Running, content_type: str) -> None:
    assert service.post(form(file(b"; filename=a.jpg")), content_type).status_code in (200, 400)


@pytest.mark.parametrize("filling", [b"\r", b"\r\n", b"\r\n--", b"\r\n--y", b"-"])
def test_what_nearly_is_a_boundary_is_read_as_a_picture(service: Running, filling: bytes) -> None:
    data = PICTURE + filling * (500_000 // len(filling))
    record = service.post(form(file(b"; filename=a.jpg", data)), FORM).json()["results"][0]

    assert (record["status"], record["image"]["bytes"]) == ("ok", len(data))


def test_what_a_form_repeats_of_the_query_is_refused(service: Running) -> None:
    body = form(file(b"; filename=a.jpg"), b"Content-Disposition: form-data; name=top\r\n\r\n1")

    found = problem(service.client.post("/v1/classify?top=2", content=body, headers={"Content-Type": FORM}), 400)
    assert found["detail"] == "top is given twice"


def test_a_form_of_urls_is_refused(service: Running) -> None:
    answer = service.client.post("/v1/classify", data={"url": "http://a.example/"})

    assert "x-www-form-urlencoded" in problem(answer, 415)["detail"]
