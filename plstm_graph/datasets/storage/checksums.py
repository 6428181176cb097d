"""What downloaded files are known to be, and a record of those that are not known."""

import hashlib
import os
import re
from pathlib import Path

from plstm_graph.console import Console
from plstm_graph.datasets.storage.files import replace_text

_CIRCUITS = "https://raw.githubusercontent.com/lsils/benchmarks/94e25f33b9bcbaa155e20ceedc6f6dc45bdffddf"
_DROPBOX = "https://www.dropbox.com/s"
_CHUNK = 1 << 20
_RECORD = "SHA256SUMS"

#: SHA-256 of files at addresses whose content is known: fixed commits, and files that others have published the sum of.
SHA256 = {
    "https://raw.githubusercontent.com/muhanzhang/D-VAE/3569a4a3bf5ecf8e12ae548e0d22e72062d29e26/data/"
    "final_structures6.txt": "fea9a7dde1545e7d3bd58fd4b9c3db08a89c18e0351f770cde2fe530c4791725",
    "https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip": (
        "5c613a4f673fc74097d523a2c83f38e0cc462984d847b82c7aaf36b01cbbbfcc"
    ),
    f"{_DROPBOX}/ol2v01usvaxbsr8/peptide_multi_class_dataset.csv.gz?dl=1": (
        "e314f7dfb1ac46ef83fe5f5aa4fe502ad4527da633b64e6b997cb0c452511de3"
    ),
    f"{_DROPBOX}/j4zcnx2eipuo0xz/splits_random_stratified_peptide.pickle?dl=1": (
        "4573079852cce8867ad2d734c5dd22d77538bbe9f628223a8d4b3b531f6fffd0"
    ),
    **{
        f"{_CIRCUITS}/{name}.aig": digest
        for name, digest in {
            "arithmetic/adder": "60a28c90dc413ab479e07aba13185ae71ab7ffd3fd256c5e631212ee46170bcd",
            "arithmetic/bar": "28a3d895fe2821d4dcd04230751a059cb31ff5e28285a61ff7778cf71fb61da3",
            "arithmetic/div": "e65955ae0931e5c7ed91a6210f0f6e6b7bd95eaeef1ffddcfb3e7ec633ed5d82",
            "arithmetic/hyp": "b0be478cd838b5fb7bb91ee695aae9e5e8a6ddb3035f965461bb709c21386549",
            "arithmetic/log2": "146f031921372d0dc47c73ad2c82ce4e7413caff725204b7938a4cf61b1f15cb",
            "arithmetic/max": "9a7c45c95cec2afbfd418468d8b5ff6a33161c591892e34ba34ff6ed3fbbb1a9",
            "arithmetic/multiplier": "543555652101e587c1d1b18a38eb18dfebcb5f85e63e35c781361aa26888946e",
            "arithmetic/sin": "e1a649d2eca27337787cb4aed79abe120f49597975beaed8bffd6a329c2664b3",
            "arithmetic/sqrt": "2fdf59877a0f1ceba46a2a3aca5457e05c47ac24ceb69839a4c12d071cf62300",
            "arithmetic/square": "c3fe8598cf501743043cf573b7226478a06be9dfb180d17bca77cdfbe667d784",
            "random_control/arbiter": "0eacc0a97717bbc91f732ce6814bbfcdefa8a0b65b13ade6f002e35d0e585d82",
            "random_control/cavlc": "125e0fdeb41ccadac5e6ada71f3c416fd026cfcbc8e75ad1c6b57ddc2b100f31",
            "random_control/ctrl": "9da22b9ba9917569878d750926623d3920a4cd985a0980cc65763c5d3ac0e78b",
            "random_control/dec": "38def606e795975e469273411ee9217bc43656c57e6f6eeda3ea640452fa3443",
            "random_control/i2c": "3f6ab413a3f745c87811fa6565d972146f1f4e6ede78fae71fcb16e469b9b213",
            "random_control/int2float": "ad280bdb8331591998b8184ff70ad00d31184649c245796965fc6777e3016bab",
            "random_control/mem_ctrl": "390d601836717129b903a5ecc8fd96b41d322d26895d666b303c64b796bd0d1d",
            "random_control/priority": "9123187c4169189f53f17a84367c4bd5f749b13298f9619ef601c5de4ee90678",
            "random_control/router": "fe8d13d4efe05fc3400ab8c94c0d1ce07ee24dd2ec106f7ae3d24e962e80efbd",
            "random_control/voter": "10ea098f4fca120ba55dd1abd5fab34d6a4df6099c4f411bc8592a27f9caf324",
        }.items()
    },
}

#: SHA-256 of files inside archives, whose own sum is not known: sets of OGB by their name.
OGB_FILES = {
    "ogbg-molbace": {
        "mapping/mol.csv.gz": "7a7aed697887bbd1ddcca1aa9e83d069d39e09d800e5961d20b80f1704ba86b5",
        "raw/edge-feat.csv.gz": "089c1ee7c5561a0e81623780d0808e10feb2aa789a48b1fef260ad3f3494013b",
        "raw/edge.csv.gz": "014e9475134c9c20300fda5d8115bd0c5f192185cd74c6f8921afc28f6359ce7",
        "raw/graph-label.csv.gz": "a93fed4e7bf6ef1fe8b6bd79e5a4eb984d9a5ccaa4f51d6cb1accecff836b632",
        "raw/node-feat.csv.gz": "bd031b6fd3d699c2ee4527e778e298bc0ae52439b9b720311789f83803a6025a",
        "raw/num-edge-list.csv.gz": "78e201ed1abfd581096a3e5ba32a18ccca8e872f89c05bec1f9e52f25a7a5f76",
        "raw/num-node-list.csv.gz": "ca6e661f0d4323c90543e9539971ba8695a763aac0df2e8e1c6d141985a9a2fa",
        "split/scaffold/test.csv.gz": "8e6ede054b28f5953912996c1d59c0d8b0c7ef252b3f2679c251d205c8438755",
        "split/scaffold/train.csv.gz": "5f20fb296650872fc91d8af37ed3afdd6d4cd32b52e53763d543bf1b6aa89b26",
        "split/scaffold/valid.csv.gz": "f06cb03da9a5f5609c4600f1e01148eb54779351086aede3305643335657bd66",
    },
    "ogbg-molesol": {
        "mapping/mol.csv.gz": "9d35028b2adf47376c1a74d89bb1f21aa584605d17eca8193b37b0c88ef2515d",
        "raw/edge-feat.csv.gz": "da5e2351193a7ef5cd3d4d78a9527797d52ca64e5af52ea4f14adcafdb0c1693",
        "raw/edge.csv.gz": "d4fbb9ea8127e76ac915bb650d61db36e5e5ae2695b2e869818e7632d7bec0af",
        "raw/graph-label.csv.gz": "049ab083983327bd4e2d0bcdb019d6ae4c0316ae676e6add0403a5a7e94c5cad",
        "raw/node-feat.csv.gz": "1500decb89013de31586a9725b3fe984b84cb2696f8411880ddbb09ecb3112f0",
        "raw/num-edge-list.csv.gz": "8cc54b817d1f5c999cfd69dc9c09aebdddee942f8fd95f2462fb53699eae9ce0",
        "raw/num-node-list.csv.gz": "57de66bbe53142b5bd7329e8aa5e7812dfbeffe80b6ba500b14e7d354aaa17ac",
        "split/scaffold/test.csv.gz": "3a2367389a4d0f2d3cada1ba19d82c83edcb4db58bd564273b14b8a33749cde2",
        "split/scaffold/train.csv.gz": "07a08a743001b8faa61ffb62130ac60e4f89355912fd798da7a471e233cb5d1b",
        "split/scaffold/valid.csv.gz": "fc4ddf102e27ab6436128e151dc1e83c9f2cf2be3e8c4007543dcf97bd13ff53",
    },
    "ogbg-molfreesolv": {
        "mapping/mol.csv.gz": "81d2ed64f4366ba1459e4cdb697c080b14e220b73074380ee968b35ed65e175d",
        "raw/edge-feat.csv.gz": "4452afab3488e10c904273869772d56dbe8999d05f59c295c5da771b243b08d6",
        "raw/edge.csv.gz": "adafd5b17b4d744d165993e47b1c4b9594ab15b443d4b06914b556ce8068b981",
        "raw/graph-label.csv.gz": "70f2a5492e15e12efd8232e77de4bcc424a8592ebb59512df511c80047aa5dff",
        "raw/node-feat.csv.gz": "27bbc31354d94d402d5d3b4036192a0f8dd0cd522cf4ceb579b451e7e3b58098",
        "raw/num-edge-list.csv.gz": "e33e4a165783062b81f2d163907153f7cc19e6fc177b8039873b11f094d713c2",
        "raw/num-node-list.csv.gz": "ea4163f5cf6745a8f18f270fea7a492765057a8eafb1f54300a2febafb353df9",
        "split/scaffold/test.csv.gz": "03bd483c8c2b4997aa560dd9e2c201faacb1768fb6411df7cfc5b96959e73a6d",
        "split/scaffold/train.csv.gz": "6fbefde21d5380762445203528e5d8f4cee22b2ca57c40047a679c5528f48e83",
        "split/scaffold/valid.csv.gz": "b5c18ff6c6974d6da6f3567ba4eebc9c66f5670b93ea12e0a7bb4f6b82c16bda",
    },
    "ogbg-molhiv": {
        "mapping/mol.csv.gz": "306c4ad8d54fc6cd40c71da4d0561fdcc73e1188662e6992bae0dda8f65bf6d0",
        "raw/edge-feat.csv.gz": "a59f5bcf890de811555f5d3819a96f713b4f8b6204801f286991c197afacf836",
        "raw/edge.csv.gz": "d279b2d408f553cdc6e8ff9712e8eb52ee8831e6f63d29431812e27bca119389",
        "raw/graph-label.csv.gz": "88f950d08c606556cca1c1ffef05229f46d64043ad7fa617e8938a3ae9779993",
        "raw/node-feat.csv.gz": "1e875d13c6442622d2b4f3763e7b0ef48cf2c769828b087ef0efe91c3bdb574b",
        "raw/num-edge-list.csv.gz": "fa058f23514328fd69bc9c4c31fd8f5938c4ce18726855489d0c0e2dfeaddd37",
        "raw/num-node-list.csv.gz": "e26f7e29de4a3985c7f47482838c62f870c90c4d01871c57bfeae1b8d993a24b",
        "split/scaffold/test.csv.gz": "27485729d83edd6f47eb3b8daff69fdb32c9df6b36b17204ef87f8dc1a30eab1",
        "split/scaffold/train.csv.gz": "9f1e46e77897b3de3d19452cbd47c312e2844a0ec664c1c9dc897c10d12e42f0",
        "split/scaffold/valid.csv.gz": "eaf4d6b4630f9e689d2b203669674d0dc309673319e8ac32daa9e9ca90e2e1fa",
    },
}


class ChecksumError(OSError):
    """A file that is not what it is known or recorded to be."""


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_known(url: str, digest: str, root: str | os.PathLike[str]) -> bool:
    """Check what was downloaded: against what is known of its address, or against the record of an earlier download.

    Args:
        url: Address of the file.
        digest: Its SHA-256.
        root: Folder of all data sets; the record is ``root/SHA256SUMS``, a line ``DIGEST  ADDRESS`` each. Who knows the
            sum from elsewhere can write that line before.

    Returns:
        Whether it was known or recorded. If not, :func:`record` it once it has proved sound.

    Raises:
        ChecksumError: If it is another file.
    """
    if url in SHA256:
        if digest != SHA256[url]:
            raise ChecksumError(
                f"{url} has SHA-256 {digest}, not {SHA256[url]}: it was changed, or damaged on the way. If you trust "
                "it, download it yourself and name its folder (source, or the environment variable PLSTM_DATA)"
            )
        return True
    path = Path(root) / _RECORD
    recorded = _read(path).get(url)
    if recorded is not None and recorded != digest:
        raise ChecksumError(
            f"{url} has SHA-256 {digest}, but {path} has {recorded} for it: it was changed since, or damaged on the "
            "way. If you trust it, remove that line"
        )
    return recorded is not None


def record(url: str, digest: str, root: str | os.PathLike[str]) -> None:
    """Write down what a file was at its first download, and say so on stderr.

    Args:
        url: Address of the file.
        digest: Its SHA-256.
        root: Folder of all data sets.
    """
    path = Path(root) / _RECORD
    lines = [f"{found}  {address}" for address, found in _read(path).items()]
    replace_text(path, "\n".join([*lines, f"{digest}  {url}"]) + "\n")
    message = f"{url}: SHA-256 {digest}, trusted as this is its first download, recorded in {path}"
    Console(stderr=True).say(message)


def _read(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = (re.fullmatch(r"([0-9a-f]{64})\s+(\S+)\s*", line) for line in text.splitlines())
    return {line[2]: line[1] for line in found if line is not None}
