# A weftd of a test.
#
# Options: mesh (where it listens for peers), peers (a list of addresses), workers_listen (default: an ipc socket in its
# folder), shards (default: WEFT_SHARDS, or what weftd does without), weftd_yaml (more text for its configuration),
# stopped.
package Weft::Test::Weftd;
use v5.30;
use warnings;

use parent 'Weft::Test::Part';

sub new {
    my ($class, $test, $name, %options) = @_;
    my $folder = $test->prefix . "/weftd-$name";
    mkdir $folder or die "$folder: $!\n";
    my $self = bless { kind => 'weftd', name => $name, folder => $folder, test => $test, options => \%options }, $class;
    return $self;
}

sub worker_address { my ($self) = @_; return $self->{options}{workers_listen} // "ipc://$self->{folder}/weftd.sock" }
sub logs           { ($_[0]->output) }
sub alarming       { qr{^\S+Z (?:error|critical) |"level":"(?:error|critical)"|$Weft::Test::Part::SANITIZER} }

sub configuration {
    my ($self, %change) = @_;
    my %o = (%{ $self->{options} }, %change);
    my $address = $self->worker_address;
    my $yaml = "node: $self->{name}\nworkers: {listen: '$address'}\n";
    my $shards = $o{shards} // $ENV{WEFT_SHARDS};
    $yaml .= "shards: $shards\n" if $shards;
    if ($o{mesh} || $o{peers}) {
        $yaml .= "mesh:\n";
        $yaml .= "  listen: $o{mesh}\n" if $o{mesh};
        $yaml .= '  peers: [' . join(', ', @{ $o{peers} // [] }) . "]\n";
    }
    return $yaml . ($o{weftd_yaml} // '');
}

sub write_configuration {
    my ($self, %change) = @_;
    return Weft::Test::spew("$self->{folder}/weftd.yaml", $self->configuration(%change));
}

sub start {
    my ($self) = @_;
    $self->write_configuration;
    $self->_launch("$Weft::Test::BUILD/weftd", '--config', "$self->{folder}/weftd.yaml");
    my ($socket) = $self->worker_address =~ m{^ipc://(.*)};
    my $up = Weft::Test::wait_for(
        sub {
            return 'ended' unless $self->running;
            return !defined $socket || -S $socket;
        });
    die $self->title . " did not start:\n" . $self->log_text unless $up && $up ne 'ended';
    return $self;
}

1;
