#include "hook/hook_answers.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace weft {

HookAnswers::HookAnswers() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

HookAnswers::~HookAnswers() {
    ::close(fd_);
}

void HookAnswers::take(std::vector<HookAnswer>& into) {
    into.clear();
    if (!any_.exchange(false)) return;
    eventfd_t count = 0;
    (void)::eventfd_read(fd_, &count);
    const std::scoped_lock lock(mutex_);
    into.swap(answers_);
}

void HookAnswers::push(HookAnswer answer) {
    bool first = false;
    {
        const std::scoped_lock lock(mutex_);
        first = answers_.empty();
        answers_.push_back(std::move(answer));
    }
    if (!first) return;
    (void)::eventfd_write(fd_, 1);
    any_ = true;  // last: whoever sees it reads what was written
}

}  // namespace weft
