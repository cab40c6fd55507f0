/* A clock that tests move: loaded before all else (LD_PRELOAD), it adds to the wall clock the seconds that stand
 * in the file $MOVED_CLOCK, eight bytes that all processes share. Monotonic clocks and sleeps stay real, but for
 * waits of more than LONG_S seconds during which the clock is moved. In Dagster's daemon they end, if it was by more
 * than that: its scheduler waits so for the next minute, and would begin a night up to a minute late. In all others
 * they begin anew: a code server waits so for a heartbeat, and would take the jump for a silence, and end. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LONG_S 20
#define SLICE_NS 200000000L

static volatile const long nothing = 0, *moved = &nothing;
static int is_daemon = 0;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("MOVED_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) moved = page;
  close(file);
  char line[4096];
  file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? 0 : read(file, line, sizeof line);
  is_daemon = length > 0 && memmem(line, length, "dagster._daemon", 15);
  if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int failed = syscall(SYS_clock_gettime, clock, at);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += *moved;
  return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec, at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}

/* CPython's locks wait here, by the monotonic clock */
int sem_clockwait(sem_t *restrict lock, clockid_t clock, const struct timespec *restrict until) {
  static int (*wait)(sem_t *, clockid_t, const struct timespec *) = NULL;
  if (!wait) wait = (int (*)(sem_t *, clockid_t, const struct timespec *))dlsym(RTLD_NEXT, "sem_clockwait");
  struct timespec now, end = *until;
  syscall(SYS_clock_gettime, clock, &now);
  long before = *moved, seconds = end.tv_sec - now.tv_sec;
  if (seconds <= LONG_S) return wait(lock, clock, until);
  for (;;) {
    now.tv_nsec += SLICE_NS;
    if (now.tv_nsec >= 1000000000L) now.tv_sec += 1, now.tv_nsec -= 1000000000L;
    int failed = wait(lock, clock, &now);
    if (!failed || errno != ETIMEDOUT) return failed;
    syscall(SYS_clock_gettime, clock, &now);
    if (is_daemon && *moved - before > LONG_S) return failed;
    if (!is_daemon && *moved != before) before = *moved, end.tv_sec = now.tv_sec + seconds;
    if (now.tv_sec >= end.tv_sec) return failed;
  }
}
