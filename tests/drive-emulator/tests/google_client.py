"""What google-api-python-client makes of the emulator: every step is checked.

Arguments: the emulator's address, the key of a service account, the id of a shared drive, and the
id of a folder in a person's My Drive that is shared with the account.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

import googleapiclient.discovery
import google_auth_httplib2
from google.oauth2 import service_account
from googleapiclient.errors import HttpError
from googleapiclient.http import MediaInMemoryUpload, MediaIoBaseDownload, MediaIoBaseUpload, build_http

URL, KEY, DRIVE, SHARED = sys.argv[1:5]
UNIT = 256 * 1024
FOLDER = "application/vnd.google-apps.folder"
FACTS = "id,name,mimeType,size,md5Checksum,sha1Checksum,sha256Checksum,parents,modifiedTime,trashed"
WITHIN = {
    "corpora": "drive",
    "driveId": DRIVE,
    "includeItemsFromAllDrives": True,
    "supportsAllDrives": True,
}


def connect(scopes=("https://www.googleapis.com/auth/drive",)):
    """Returns the service, as Google's own description of it has it, at the emulator's address."""
    cache = Path(googleapiclient.discovery.__file__).parent / "discovery_cache/documents/drive.v3.json"
    document = json.loads(cache.read_text())
    for key in ("rootUrl", "mtlsRootUrl"):
        document[key] = f"{URL}/"
    document["baseUrl"] = f"{URL}/drive/v3/"
    key = service_account.Credentials.from_service_account_file(KEY, scopes=scopes)
    http = google_auth_httplib2.AuthorizedHttp(key, http=build_http())
    return googleapiclient.discovery.build_from_document(document, http=http), http


def content(size, seed=1):
    """Returns bytes that repeat nowhere near."""
    block = b"".join(hashlib.sha256(b"%d %d" % (seed, n)).digest() for n in range(size // 32 + 1))
    return block[:size]


def create(name, data, parent=DRIVE, **more):
    """Uploads a file in one multipart request."""
    media = MediaInMemoryUpload(data, mimetype="application/octet-stream", resumable=False)
    body = {"name": name, "parents": [parent], **more}
    return FILES.create(body=body, media_body=media, fields=FACTS, supportsAllDrives=True).execute()


def folder(name, parent=DRIVE):
    body = {"name": name, "parents": [parent], "mimeType": FOLDER}
    return FILES.create(body=body, fields="id", supportsAllDrives=True).execute()["id"]


def read(file):
    request = FILES.get_media(fileId=file, supportsAllDrives=True)
    out = io.BytesIO()
    # Several ranges, the last one short.
    download = MediaIoBaseDownload(out, request, chunksize=100_000)
    for _ in range(100):
        _, done = download.next_chunk()
        if done:
            return out.getvalue()
    raise AssertionError("a download without an end")


def look(q, fields="files(id,name)", **more):
    """Returns all that is found, page by page."""
    found, token = [], None
    for _ in range(100):
        page = FILES.list(q=q, fields=f"nextPageToken,{fields}", pageToken=token, **{**WITHIN, **more}).execute()
        found += page["files"]
        token = page.get("nextPageToken")
        if not token:
            return found
    raise AssertionError("pages without an end")


def names(q, **more):
    return sorted(file["name"] for file in look(q, **more))


def same(found, wanted, what):
    assert found == wanted, f"{what}: {found!r} instead of {wanted!r}"


def refused(status, reason, call, what):
    try:
        call()
    except HttpError as error:
        found = (error.resp.status, error.error_details[0]["reason"] if error.error_details else "")
        same(found, (status, reason), what)
        return
    raise AssertionError(f"{what}: not refused")


def whole(file, data, what):
    """Checks that a file is what was sent, by its sums and by its content."""
    facts = FILES.get(fileId=file, fields=FACTS, supportsAllDrives=True).execute()
    same(facts["size"], str(len(data)), f"{what}: size")
    for name in ("md5", "sha1", "sha256"):
        same(facts[f"{name}Checksum"], hashlib.new(name, data).hexdigest(), f"{what}: {name}")
    assert read(file) == data, f"{what}: content differs"


def uploads():
    for name, data in [
        ("plain", b"plain"), ("ends with a line", b"one\ntwo\n"), ("ends with lines", b"\r\n\r\n"),
        ("looks like a boundary", b"--===\n--"), ("large", content(300_001)),
    ]:
        whole(create(name, data)["id"], data, name)
    whole(create("empty", b"")["id"], b"", "empty")

    for size in (UNIT * 3 + 17, UNIT * 2, 5, 0):
        data = content(size, size + 2)
        media = MediaIoBaseUpload(io.BytesIO(data), "video/mp4", chunksize=UNIT, resumable=True)
        request = FILES.create(
            body={"name": f"resumable {size}", "parents": [DRIVE]}, media_body=media, fields="id", supportsAllDrives=True)
        for _ in range(100):
            _, reply = request.next_chunk()
            if reply:
                break
        whole(reply["id"], data, f"resumable of {size}")

    first = create("overwritten", b"first")
    media = MediaInMemoryUpload(b"second", resumable=False)
    second = FILES.update(fileId=first["id"], media_body=media, fields="id,headRevisionId", supportsAllDrives=True).execute()
    same(second["id"], first["id"], "id after an update")
    whole(first["id"], b"second", "overwritten")
    history = SERVICE.revisions().list(fileId=first["id"], fields="revisions(id,size,md5Checksum)").execute()["revisions"]
    same([r["size"] for r in history], ["5", "6"], "sizes of revisions")
    same(history[-1]["id"], second["headRevisionId"], "the newest revision")
    old = SERVICE.revisions().get_media(fileId=first["id"], revisionId=history[0]["id"]).execute()
    same(old, b"first", "the old content")


def sessions():
    """The resumable protocol, request by request."""
    def begin():
        body = json.dumps({"name": "by hand", "parents": [DRIVE]})
        reply, _ = HTTP.request(
            f"{URL}/upload/drive/v3/files?uploadType=resumable&supportsAllDrives=true", "POST", body,
            {"Content-Type": "application/json; charset=UTF-8"})
        same(reply.status, 200, "the begin of an upload")
        return reply["location"]

    def put(place, span, data=b"", method="PUT"):
        reply, body = HTTP.request(place, method, data, {"Content-Range": f"bytes {span}"})
        return reply.status, reply.get("range"), body

    data = content(UNIT + 100, 7)
    total = len(data)
    place = begin()
    same(put(place, "*/*")[:2], (308, None), "nothing there yet")
    same(put(place, f"0-99/{total}", data[:100])[0], 400, "a chunk of an odd size")
    same(put(place, f"0-{UNIT - 1}/*", data[:UNIT], "POST")[:2], (308, f"bytes=0-{UNIT - 1}"), "a chunk")
    same(put(place, f"*/{total}")[:2], (308, f"bytes=0-{UNIT - 1}"), "how far it is")
    status, _, body = put(place, f"{UNIT}-{total - 1}/{total}", data[UNIT:])
    same(status, 200, "the last chunk")
    same(put(place, f"*/{total}")[0], 200, "a complete upload")
    whole(json.loads(body)["id"], data, "by hand")

    place = begin()
    reply, _ = HTTP.request(place, "DELETE")
    same(reply.status, 499, "a cancelled upload")
    same(put(place, "*/*")[0], 404, "an upload that is gone")


def searches():
    here = folder("searched")
    hard = ["it's", "back\\slash", "\\'", "a \"quoted\" one", "dir.v001", "a/b", "ünïcode ☃", "or and not", "100%_+&="]
    for name in hard:
        create(name, b"x", here)
    for name in hard:
        escaped = name.replace("\\", "\\\\").replace("'", "\\'")
        same(names(f"'{here}' in parents and name = '{escaped}' and trashed = false"), [name], f"search for {name}")
    same(names(f"'{here}' in parents and (name = 'a/b' or name = 'dir.v001')"), ["a/b", "dir.v001"], "or")
    same(names(f"'{here}' in parents and not name contains 'b' and name contains 'a'"), ["a \"quoted\" one", "or and not"], "not, contains")
    same(names(f"'{here}' in parents and mimeType='{FOLDER}'"), [], "type")
    refused(400, "invalid", lambda: look("name = 'it's'"), "a broken query")
    refused(404, "notFound", lambda: look("'nowhere' in parents"), "an unknown folder")

    twins = [create("twin", b"x", here)["id"] for _ in range(2)]
    same(sorted(f["id"] for f in look(f"'{here}' in parents and name = 'twin'")), sorted(twins), "twins")

    many = folder("many")
    wanted = sorted(f"file {n}" for n in range(25))
    for name in wanted:
        create(name, b"", many)
    same(names(f"'{many}' in parents", pageSize=10), wanted, "pages")
    refused(400, "invalid", lambda: FILES.list(fields="files(nonsense)", **WITHIN).execute(), "an unknown field")
    projected = FILES.get(fileId=many, fields="name,capabilities/canEdit", supportsAllDrives=True).execute()
    same(projected, {"name": "many", "capabilities": {"canEdit": True}}, "fields")
    refused(404, "notFound", lambda: FILES.get(fileId=many).execute(), "a client without shared drives")

    tagged = create("tagged", b"", many, appProperties={"upload": "it's 1"})["id"]
    found = look("appProperties has { key='upload' and value='it\\'s 1' }")
    same([f["id"] for f in found], [tagged], "properties")


def changes_of_files():
    here, there = folder("here"), folder("there")
    feed = SERVICE.changes()
    start = feed.getStartPageToken(driveId=DRIVE, supportsAllDrives=True).execute()["startPageToken"]

    moment = "2020-02-29T12:34:56.789Z"
    file = create("timed", b"x", here, modifiedTime=moment)
    same(file["modifiedTime"], moment, "time of a new file")
    id = file["id"]
    later = "2021-02-28T01:02:03.004Z"
    patched = FILES.update(
        fileId=id, body={"name": "renamed", "modifiedTime": later}, addParents=there, removeParents=here,
        fields=FACTS, supportsAllDrives=True).execute()
    same((patched["name"], patched["parents"], patched["modifiedTime"]), ("renamed", [there], later), "a move")
    same(names(f"'{here}' in parents"), [], "where it was")
    same(names(f"'{there}' in parents"), ["renamed"], "where it is")
    refused(403, "cannotAddParent", lambda: FILES.update(
        fileId=id, addParents=here, supportsAllDrives=True).execute(), "a second parent")

    copied = FILES.copy(
        fileId=id, body={"name": "copy", "parents": [here]}, fields=FACTS, supportsAllDrives=True).execute()
    same(copied["md5Checksum"], file["md5Checksum"], "sum of a copy")
    FILES.update(fileId=copied["id"], body={"trashed": True}, supportsAllDrives=True).execute()
    same(names(f"'{here}' in parents and trashed = false"), [], "what is not in the trash")
    same(names(f"'{here}' in parents and trashed = true"), ["copy"], "what is in the trash")
    FILES.delete(fileId=copied["id"], supportsAllDrives=True).execute()
    refused(404, "notFound", lambda: FILES.get(fileId=copied["id"], supportsAllDrives=True).execute(), "a deleted file")

    seen, token = {}, start
    for _ in range(100):
        page = feed.list(
            pageToken=token, pageSize=1, driveId=DRIVE, includeItemsFromAllDrives=True, supportsAllDrives=True,
            fields="nextPageToken,newStartPageToken,changes(fileId,removed,file(name,trashed))").execute()
        for change in page["changes"]:
            seen[change["fileId"]] = change["removed"] or change["file"]["name"]
        if "newStartPageToken" in page:
            break
        token = page["nextPageToken"]
    same(seen, {id: "renamed", copied["id"]: True}, "changes")
    empty = feed.list(pageToken=page["newStartPageToken"], driveId=DRIVE, supportsAllDrives=True, includeItemsFromAllDrives=True).execute()
    same(empty["changes"], [], "no changes")


def identity():
    ids = FILES.generateIds(count=2).execute()["ids"]
    create("with an id", b"1", id=ids[0])
    refused(409, "fileIdInUse", lambda: create("with an id", b"1", id=ids[0]), "an id that is taken")
    same(names("name = 'with an id'"), ["with an id"], "one file of one id")
    about = SERVICE.about().get(fields="user(emailAddress),storageQuota").execute()
    same(about["user"]["emailAddress"], json.loads(Path(KEY).read_text())["client_email"], "who this is")
    same([d["id"] for d in SERVICE.drives().list().execute()["drives"]], [DRIVE], "shared drives")
    same(SERVICE.drives().get(driveId=DRIVE, fields="name").execute(), {"name": "Film"}, "a shared drive")

    own = {"corpora": "user", "driveId": None}
    same(names("sharedWithMe", **own), ["Shared"], "what is shared")
    whole(create("in a shared folder", b"x", SHARED)["id"], b"x", "in a shared folder")
    refused(403, "storageQuotaExceeded", lambda: create("of my own", b"x", "root"), "a service account's own storage")
    narrow, _ = connect(["https://www.googleapis.com/auth/drive.readonly"])
    refused(403, "insufficientPermissions", lambda: narrow.files().create(body={"name": "x"}).execute(), "a narrow scope")


SERVICE, HTTP = connect()
FILES = SERVICE.files()
for step in (uploads, sessions, searches, changes_of_files, identity):
    step()
print("all is as it should be")
