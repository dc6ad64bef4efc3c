# A network of a test: hosts with an interface each, on a bridge, in network namespaces of their own. A namespace lives as
# long as the process that holds it, and its devices with it; the holders are killed with the test, however that ends, so
# nothing stays behind, and nothing shows on the machine's own network.
#
#     my $why = Weft::Test::Network::missing() and plan skip_all => $why;
#     my $network = Weft::Test::Network->new($t, 'a', 'b');
#     $t->weftd('a', mesh => 'tcp://' . $network->address('a') . ':7400', under => $network->within('a'));
#     $network->cut('a');  $network->mend('a');
package Weft::Test::Network;
use v5.30;
use warnings;

use Weft::Test::Process;

my $PREFIX = '198.18.0';    # RFC 2544: of test networks

# Why there can be none here; false when there can.
sub missing {
    for my $tool (qw(ip unshare nsenter)) {
        return "needs $tool (packages iproute2 and util-linux)" unless grep { -x "$_/$tool" } split(/:/, $ENV{PATH}), '/sbin', '/usr/sbin';
    }
    my $said = qx{unshare -n sh -c 'ip link add b0 type bridge && ip link add v0 type veth peer name v1 && echo yes' 2>&1};
    return $said eq "yes\n" ? 0 : "needs root for network namespaces, bridges and veth: $said";
}

sub new {
    my ($class, $test, @names) = @_;
    my $self = bless { test => $test, holder => {}, address => {} }, $class;
    $self->_hold('the bridge');
    $self->_ip('the bridge', @$_) for [qw(link add br0 type bridge)], [qw(link set br0 up)];
    my $number = 0;
    for my $name (@names) {
        ++$number;
        $self->_hold($name);
        $self->{address}{$name} = "$PREFIX.$number";
        $self->{port}{$name}    = "v$number";
        $self->_ip('the bridge', qw(link add), "v$number", qw(type veth peer name eth0 netns), $self->{holder}{$name}->pid);
        $self->_ip('the bridge', qw(link set), "v$number", qw(master br0 up));
        $self->_ip($name, qw(addr add), "$PREFIX.$number/24", qw(dev eth0));
        $self->_ip($name, qw(link set), $_, 'up') for qw(lo eth0);
    }
    return $self;
}

sub address { my ($self, $name) = @_; return $self->{address}{$name} }

# The command under which a program runs on that host.
sub within { my ($self, $name) = @_; return [ 'nsenter', '-t', $self->{holder}{$name}->pid, '-n', '--' ] }

# Takes a host's cable out, and plugs it in again.
sub cut  { my ($self, $name) = @_; return $self->_ip('the bridge', qw(link set), $self->{port}{$name}, 'down') }
sub mend { my ($self, $name) = @_; return $self->_ip('the bridge', qw(link set), $self->{port}{$name}, 'up') }

# What one host sends to another is lost; the other way nothing is.
sub mute   { my ($self, $from, $to) = @_; return $self->_ip($from, qw(route add blackhole), $self->address($to)) }
sub unmute { my ($self, $from, $to) = @_; return $self->_ip($from, qw(route del blackhole), $self->address($to)) }

sub _hold {
    my ($self, $name) = @_;
    my $output = $self->{test}->prefix . '/namespaces.log';
    my $holder = $self->{holder}{$name} =
        Weft::Test::Process->start(name => "namespace of $name", command => [qw(unshare -n sleep infinity)], output => $output);
    my $own = readlink '/proc/self/ns/net';
    Weft::Test::wait_for(sub { (readlink('/proc/' . $holder->pid . '/ns/net') // $own) ne $own })
        or die "no namespace for $name:\n" . Weft::Test::slurp($output);
    return;
}

sub _ip {
    my ($self, $name, @arguments) = @_;
    system(@{ $self->within($name) }, 'ip', @arguments) == 0 or die "ip @arguments on $name: status $?\n";
    return;
}

# Ends the holders; what still runs in the namespaces keeps them a while longer.
sub close {
    my ($self) = @_;
    $_->kill_all for values %{ $self->{holder} };
    return;
}

1;
