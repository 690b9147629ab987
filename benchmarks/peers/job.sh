# job.sh NUMBER: what every job of every system does. Its line in runs/NUMBER says that it ran, and when it ended.
sleep "0.$((2 + $1 % 6))"
date +%s.%N >>"runs/$1"
