#pragma once

#include <stdexcept>

namespace weft {

/// weftd can't start; what() is a sentence for the operator.
class StartError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace weft
