"""Which packages there are: those of synth_assets, and the folders beside it that are packages inside it."""

from setuptools import find_packages, setup

FOLDERS = ("resources", "partitions", "sql")

folders = find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])
setup(
    packages=[
        *find_packages(include=["synth_assets", "synth_assets.*"]),
        *(f"synth_assets.{p}" for p in folders),
    ],
    package_dir={f"synth_assets.{folder}": folder for folder in FOLDERS},
)
