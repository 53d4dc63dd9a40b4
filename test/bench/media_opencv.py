"""Reads a clip from end to end and writes the frames at the given seconds as JPEGs to stdout."""
import sys

import cv2

path, max_side, *targets = sys.argv[1:]
wanted = [float(target) for target in targets]
clip = cv2.VideoCapture(path)
fps = clip.get(cv2.CAP_PROP_FPS)
number = 0
while wanted:
    read, frame = clip.read()
    if not read:
        break
    if number + 0.5 >= wanted[0] * fps:
        wanted.pop(0)
        scale = int(max_side) / max(frame.shape[:2])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        sys.stdout.buffer.write(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 75])[1].tobytes())
    number += 1
