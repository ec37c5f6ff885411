// A platform plugin: models of one file, `@NAME@.txt`, that holds two numbers, `a` and `b`: y = a * x + b.

#include <fstream>

#include "salver_plugin.hpp"

class Line : public salver::Model {
  public:
    Line(float a, float b) : a_(a), b_(b) {}

    std::vector<salver::Signature> signatures() const override {
        return {{{{"x", SALVER_F32, std::nullopt}}, {{"y", SALVER_F32, std::nullopt}}}};
    }

    std::vector<salver::Tensor> run(const salver::Request &request) override {
        salver::TensorView x = request.input(0);
        const float *elements = x.data<float>();
        std::vector<float> y(elements, elements + x.size<float>());
        for (float &element : y) {
            element = a_ * element + b_;
        }
        std::vector<salver::Tensor> outputs;
        if (!request.outputs().empty()) {
            outputs.emplace_back(x.shape(), std::move(y));
        }
        return outputs;
    }

  private:
    float a_, b_;
};

class LinePlatform : public salver::Platform {
  public:
    std::string name() const override { return "@NAME@"; }

    std::optional<std::string> probe(const std::string &directory) override {
        return std::ifstream(directory + "/@NAME@.txt") ? std::optional<std::string>("@NAME@.txt") : std::nullopt;
    }

    std::unique_ptr<salver::Model> load(const std::string &directory, const SalverLoadRequest &) override {
        std::ifstream file(directory + "/@NAME@.txt");
        float a, b;
        if (!(file >> a >> b)) {
            throw salver::Error(SALVER_INVALID_ARGUMENT, "`@NAME@.txt` does not hold two numbers");
        }
        return std::make_unique<Line>(a, b);
    }
};

SALVER_PLUGIN_NOTE("@NAME@", "0.1.0", "@NAME@");
SALVER_EXPORT_PLATFORMS(LinePlatform)
