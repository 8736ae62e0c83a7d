// The order of jobs, their threads, and their deadlines. See file-pool.h.
#include "file-pool.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "mount-of-path.h"
#include "process.h"

namespace overlaybd_nbd {
namespace {

using Limits = FilePoolLimits;

// Threads use little of it, and only touched pages are memory.
constexpr size_t kStackSize = 512 * 1024;
// Closing has no client that is told if it hangs, but it counts as stuck.
constexpr uint32_t kCloseDeadlineMs = 10'000;
// The key of paths before their st_dev is known: this, and the number of their mount. No st_dev is
// this large.
constexpr uint64_t kMountOfPaths = uint64_t{1} << 63;
// The warden keeps running for this many ticks without work: waking it for each job would cost
// more.
constexpr uint64_t kRestlessTicks = 80;
// No thread is created if this many are on their way to a job.
constexpr size_t kMostComing = 4;

struct Device;
struct File;

struct Job {
  uint64_t id = 0;
  std::shared_ptr<FileJobClient> client;  // null: no report
  FileJobRequest request;
  FileEntry* entry = nullptr;  // of the descriptor, which stays open as long as there are jobs
  std::string name;            // of kClose, which is there when the entry has gone
  Device* device = nullptr;
  File* file = nullptr;
  uint64_t begun = 0;    // a tick
  uint64_t overdue = 0;  // a tick
  bool ended = false;    // the client has its report, or is getting it
  bool stuck = false;
};

// One descriptor, or one folder of paths.
struct File {
  uint64_t key = 0;
  int threads = 0;
  std::list<Job> queue;
};

struct Device {
  uint64_t key = 0;
  int active = 0;
  int stuck = 0;
  std::unordered_map<uint64_t, File> files;
  std::list<File*> waiting;  // those with a queue, in turn
};

// The client of a job that has not ended in time.
struct Notice {
  std::shared_ptr<FileJobClient> client;
  uint64_t id;
  int64_t result;
};

void Tell(const std::vector<Notice>& notices) {
  for (const Notice& notice : notices) {
    if (notice.client == nullptr) continue;
    auto end = std::make_unique<FileJobEnd>();
    end->id = notice.id;
    end->outcome.result = notice.result;
    notice.client->Ended(std::move(end));
  }
}

class FilePool {
 public:
  static FilePool& Instance() {
    static auto* const instance = new FilePool;  // threads that were given up may still come back
    return *instance;
  }

  int Start(std::shared_ptr<FileJobClient> client, uint64_t id, FileJobRequest request,
            uint32_t deadline_ms);
  void Close(int fd);
  std::vector<StuckFileJob> Stuck();

 private:
  static void* ThreadMain(void* pool);
  static void* WardenMain(void* pool);
  static bool Spawn(void* (*main)(void*), FilePool* pool);

  void Add(Job job, uint64_t device_key, uint32_t deadline_ms);
  void Queue(Job job, uint64_t device_key, uint32_t deadline_ms);
  void QueueRegion(const Job& done);
  bool Find(std::list<Device*>::iterator* device, std::list<File*>::iterator* file);
  std::list<Job>::iterator Take(std::list<Device*>::iterator device,
                                std::list<File*>::iterator file);
  void Wake();
  void Unlock(std::unique_lock<std::mutex>* lock);
  void SpawnWanted();
  void Work();
  void Finish(std::list<Job>::iterator job);
  void EndQueued(Device* device, File* file, std::list<Job>::iterator job, int64_t result,
                 std::vector<Notice>* notices);
  void DropIfUnused(Device* device, File* file);
  void LetGo(FileEntry* entry, int fd);
  void QueueClose(int fd);
  void Watch();
  void Tick(std::vector<Notice>* notices);

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable warden_;
  std::unordered_map<uint64_t, Device> devices_;
  std::list<Device*> waiting_;  // those with waiting files, in turn
  std::list<Job> running_;
  size_t queued_ = 0;
  int threads_ = 0;  // those that are wanted among them
  int wanted_ = 0;   // that the warden has yet to create
  int idle_ = 0;
  int woken_ = 0;       // of the idle ones
  int unnotified_ = 0;  // of the woken ones
  int starting_ = 0;    // wanted or created, and have not looked for a job yet
  uint64_t tick_ = 0;
  uint64_t last_job_ = 0;  // a tick
  bool has_warden_ = false;
  bool warden_sleeps_ = false;
};

bool FilePool::Spawn(void* (*main)(void*), FilePool* pool) {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setstacksize(&attributes, kStackSize);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // A thread must get no signal, not even between its start and its first line.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(&thread, &attributes, main, pool);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return error == 0;
}

// The device that opening a path will wait for. Paths whose device is unknown share one entry.
uint64_t DeviceOfPath(const std::string& path) {
  const int64_t mount = MountOfPath(path);
  return kMountOfPaths + static_cast<uint64_t>(mount < 0 ? 0 : mount + 1);
}

uint64_t DeviceOf(const FileEntry* entry) {
  return entry == nullptr ? 0 : static_cast<uint64_t>(entry->device);
}

int FilePool::Start(std::shared_ptr<FileJobClient> client, uint64_t id, FileJobRequest request,
                    uint32_t deadline_ms) {
  const uint64_t mount = request.path.empty() ? 0 : DeviceOfPath(request.path);
  std::unique_lock<std::mutex> lock(mutex_);
  if (queued_ >= Limits::kQueued) return -EAGAIN;
  Job job;
  job.id = id;
  job.client = std::move(client);
  job.entry = FindFile(request.fd);
  if (job.entry != nullptr && job.entry->closing) return -EBADF;
  job.request = std::move(request);
  const uint64_t device_key = job.request.path.empty() ? DeviceOf(job.entry) : mount;
  Add(std::move(job), device_key, deadline_ms);
  Unlock(&lock);
  return 0;
}

void FilePool::Add(Job job, uint64_t device_key, uint32_t deadline_ms) {
  Queue(std::move(job), device_key, deadline_ms);
  Wake();
}

void FilePool::Queue(Job job, uint64_t device_key, uint32_t deadline_ms) {
  const FileJobRequest& request = job.request;
  const uint64_t file_key =
      !request.path.empty()
          ? std::hash<std::string>()(request.path.substr(0, request.path.rfind('/')))
          : static_cast<uint64_t>(request.fd);
  Device& device = devices_[device_key];
  File& file = device.files[file_key];
  device.key = device_key;
  file.key = file_key;
  job.device = &device;
  job.file = &file;
  job.begun = tick_;
  job.overdue = tick_ + 1 + (deadline_ms + Limits::kTickMs - 1) / Limits::kTickMs;
  if (job.entry != nullptr) ++job.entry->jobs;
  if (file.queue.empty()) {
    if (device.waiting.empty()) waiting_.push_back(&device);
    device.waiting.push_back(&file);
  }
  file.queue.push_back(std::move(job));
  ++queued_;
  last_job_ = tick_;
  if (!has_warden_) has_warden_ = Spawn(WardenMain, this);
  if (warden_sleeps_) warden_.notify_one();
}

// Reads ahead the region of a read that is done, in its turn: reads that wait already come first.
void FilePool::QueueRegion(const Job& done) {
  if (done.entry == nullptr || done.entry->closing || queued_ >= Limits::kQueued) return;
  Job job;
  job.request.kind = FileJobKind::kPrefetch;
  job.request.fd = done.request.fd;
  job.request.position = done.request.position / FileMisses::kRegion * FileMisses::kRegion;
  job.request.length = FileMisses::kRegion;
  job.entry = done.entry;
  // As long as the read had: Tick expects that the first job of a queue is the first to be late.
  const auto ticks = static_cast<uint32_t>(done.overdue - done.begun - 1);
  Queue(std::move(job), DeviceOf(done.entry), ticks * Limits::kTickMs);
}

// The next job that may run: devices take turns, and so do the files of a device.
bool FilePool::Find(std::list<Device*>::iterator* device, std::list<File*>::iterator* file) {
  const int busy = static_cast<int>(running_.size());
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    const Device& each = **at;
    const int most = each.stuck > 0 ? Limits::kThreads - Limits::kReserved : Limits::kThreads;
    if (busy >= most || each.active >= Limits::kThreadsPerDevice ||
        each.stuck >= Limits::kStuckPerDevice) {
      continue;
    }
    auto& files = (*at)->waiting;
    for (auto of = files.begin(); of != files.end(); ++of) {
      if ((*of)->threads >= Limits::kThreadsPerFile) continue;
      *device = at;
      *file = of;
      return true;
    }
  }
  return false;
}

std::list<Job>::iterator FilePool::Take(std::list<Device*>::iterator device,
                                        std::list<File*>::iterator file) {
  Device* const from = *device;
  File* const of = *file;
  running_.splice(running_.end(), of->queue, of->queue.begin());
  --queued_;
  if (of->queue.empty()) {
    from->waiting.erase(file);
  } else {
    from->waiting.splice(from->waiting.end(), from->waiting, file);
  }
  if (from->waiting.empty()) {
    waiting_.erase(device);
  } else {
    waiting_.splice(waiting_.end(), waiting_, device);
  }
  ++from->active;
  ++of->threads;
  return std::prev(running_.end());
}

// Makes sure that a thread takes the next job. A thread that is on its way to a job calls this
// after it has taken it, so a burst of jobs starts only the threads that it has work for: each
// takes memory while it exists. Without memory for a new thread, the job waits for an existing one,
// or for its deadline.
void FilePool::Wake() {
  std::list<Device*>::iterator device;
  std::list<File*>::iterator file;
  if (!Find(&device, &file)) return;
  if (idle_ > woken_) {
    ++woken_;
    ++unnotified_;
  } else if (static_cast<size_t>(woken_ + starting_) < std::min(queued_, kMostComing) &&
             threads_ < Limits::kThreads) {
    ++threads_;
    ++starting_;
    ++wanted_;
    if (has_warden_) {
      warden_.notify_one();
    } else {
      SpawnWanted();
    }
  }
}

// Notifies the threads that Wake has chosen. While the lock is held they would only wake up to wait
// for it. Every caller of Wake unlocks with this.
void FilePool::Unlock(std::unique_lock<std::mutex>* lock) {
  int each = std::exchange(unnotified_, 0);
  lock->unlock();
  for (; each > 0; --each) work_.notify_one();
}

// A thread inherits the nice value of the one that creates it, and must not become faster again
// without a privilege. The thread that opens large images has a low priority, and reads for clients
// must not have it: so the warden creates all threads.
void FilePool::SpawnWanted() {
  for (; wanted_ > 0; --wanted_) {
    if (Spawn(ThreadMain, this)) continue;
    --threads_;
    --starting_;
  }
}

void* FilePool::ThreadMain(void* pool) {
  pthread_setname_np(pthread_self(), "file");
  SetIoFlusher();
  static_cast<FilePool*>(pool)->Work();
  return nullptr;
}

void FilePool::Work() {
  std::unique_lock<std::mutex> lock(mutex_);
  --starting_;
  for (;;) {
    std::list<Device*>::iterator device;
    std::list<File*>::iterator file;
    if (!Find(&device, &file)) {
      ++idle_;
      // Waiting unlocks, too.
      for (; unnotified_ > 0; --unnotified_) work_.notify_one();
      const auto patience = std::chrono::milliseconds(Limits::kIdleMs);
      const bool found = work_.wait_for(lock, patience, [this] { return woken_ > 0; });
      --idle_;
      if (!found) break;
      --woken_;
      continue;
    }
    const auto job = Take(device, file);
    // Another thread may be able to run beside it.
    Wake();
    Unlock(&lock);
    FileJobOutcome outcome;
    RunFileJob(job->request, &outcome);
    lock.lock();
    const bool in_time = !job->ended;
    job->ended = true;
    Unlock(&lock);
    const std::shared_ptr<FileJobClient> client = job->client;
    const bool wants_region = in_time && outcome.wants_region;
    if (!in_time || client == nullptr) {
      DropOutcome(job->request.kind, outcome);
    } else {
      const int opened = OpensFile(job->request.kind) ? static_cast<int>(outcome.result) : -1;
      if (opened >= 0 && RememberFile(opened, outcome.entry.get())) outcome.entry.release();
      auto end = std::make_unique<FileJobEnd>();
      end->id = job->id;
      end->outcome = std::move(outcome);
      if (!client->Ended(std::move(end)) && opened >= 0) Close(opened);
    }
    lock.lock();
    if (wants_region) QueueRegion(*job);
    Finish(job);
  }
  --threads_;
}

void FilePool::Finish(std::list<Job>::iterator job) {
  Device* const device = job->device;
  File* const file = job->file;
  FileEntry* const entry = job->entry;
  const int fd = job->request.fd;
  const bool closed = job->request.kind == FileJobKind::kClose;
  --(job->stuck ? device->stuck : device->active);
  --file->threads;
  running_.erase(job);
  if (!closed) LetGo(entry, fd);
  DropIfUnused(device, file);
}

void FilePool::DropIfUnused(Device* device, File* file) {
  if (file->threads == 0 && file->queue.empty()) device->files.erase(file->key);
  if (device->files.empty()) devices_.erase(device->key);
}

// One job less uses the file.
void FilePool::LetGo(FileEntry* entry, int fd) {
  if (entry == nullptr) return;
  --entry->jobs;
  if (entry->closing && entry->jobs == 0) QueueClose(fd);
}

void FilePool::QueueClose(int fd) {
  Job job;
  job.request.kind = FileJobKind::kClose;
  job.request.fd = fd;
  job.entry = FindFile(fd);
  if (job.entry != nullptr) job.name = job.entry->path;
  const uint64_t device_key = DeviceOf(job.entry);
  Add(std::move(job), device_key, kCloseDeadlineMs);
}

void FilePool::Close(int fd) {
  std::vector<Notice> notices;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    FileEntry* const entry = FindFile(fd);
    if (entry == nullptr) {
      QueueClose(fd);
      Unlock(&lock);
      return;
    }
    if (entry->closing) return;
    entry->closing = true;
    ++entry->jobs;  // until all waiting clients have their report
    const auto device = devices_.find(static_cast<uint64_t>(entry->device));
    if (device != devices_.end()) {
      const auto file = device->second.files.find(static_cast<uint64_t>(fd));
      if (file != device->second.files.end()) {
        Device* const of = &device->second;
        File* const each = &file->second;
        while (!each->queue.empty()) {
          const bool last = each->queue.size() == 1;
          EndQueued(of, each, each->queue.begin(), -EBADF, &notices);
          if (last) break;
        }
      }
    }
    LetGo(entry, fd);
    Unlock(&lock);
  }
  Tell(notices);
}

// Ends a job that no thread has taken. If it was the last job of its file, the file may be gone
// afterwards.
void FilePool::EndQueued(Device* device, File* file, std::list<Job>::iterator job, int64_t result,
                         std::vector<Notice>* notices) {
  notices->push_back({job->client, job->id, result});
  FileEntry* const entry = job->entry;
  const int fd = job->request.fd;
  file->queue.erase(job);
  --queued_;
  if (file->queue.empty()) {
    device->waiting.remove(file);
    if (device->waiting.empty()) waiting_.remove(device);
  }
  LetGo(entry, fd);
  DropIfUnused(device, file);
}

void* FilePool::WardenMain(void* pool) {
  pthread_setname_np(pthread_self(), "file warden");
  static_cast<FilePool*>(pool)->Watch();
  return nullptr;
}

// Counts time, reports jobs that have taken too long to their clients, and creates threads.
void FilePool::Watch() {
  const auto pause = std::chrono::milliseconds(Limits::kTickMs);
  for (;;) {
    std::vector<Notice> notices;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      while (queued_ == 0 && running_.empty() && tick_ - last_job_ >= kRestlessTicks) {
        warden_sleeps_ = true;
        warden_.wait(lock);
        warden_sleeps_ = false;
      }
      const auto next = std::chrono::steady_clock::now() + pause;
      while (warden_.wait_until(lock, next, [this] { return wanted_ > 0; })) SpawnWanted();
      ++tick_;
      Tick(&notices);
      Unlock(&lock);
    }
    Tell(notices);
  }
}

void FilePool::Tick(std::vector<Notice>* notices) {
  for (Job& job : running_) {
    if (job.ended || job.overdue > tick_) continue;
    job.ended = true;
    job.stuck = true;
    --job.device->active;
    ++job.device->stuck;
    notices->push_back({job.client, job.id, -ETIMEDOUT});
  }
  // Jobs of one file are about equally old, the oldest first.
  std::vector<std::pair<Device*, File*>> late;
  for (Device* const device : waiting_) {
    for (File* const file : device->waiting) {
      if (file->queue.front().overdue <= tick_) late.emplace_back(device, file);
    }
  }
  for (const auto& [device, file] : late) {
    while (file->queue.front().overdue <= tick_) {
      const bool last = file->queue.size() == 1;
      EndQueued(device, file, file->queue.begin(), -ETIMEDOUT, notices);
      if (last) break;
    }
  }
  Wake();
}

std::vector<StuckFileJob> FilePool::Stuck() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<StuckFileJob> stuck;
  for (const Job& job : running_) {
    if (!job.stuck) continue;
    const FileJobRequest& request = job.request;
    const bool by_path = job.entry == nullptr;
    const std::string& path = request.kind == FileJobKind::kClose ? job.name
                              : by_path                           ? request.path
                                                                  : job.entry->path;
    const double seconds = static_cast<double>(tick_ - job.begun) * Limits::kTickMs / 1000;
    stuck.push_back({path, request.kind, request.position, request.length, seconds});
  }
  return stuck;
}

}  // namespace

int StartFileJob(std::shared_ptr<FileJobClient> client, uint64_t id, FileJobRequest request,
                 uint32_t deadline_ms) {
  return FilePool::Instance().Start(std::move(client), id, std::move(request), deadline_ms);
}

void CloseFile(int fd) { FilePool::Instance().Close(fd); }

std::vector<StuckFileJob> StuckFileJobs() { return FilePool::Instance().Stuck(); }

}  // namespace overlaybd_nbd
